import "server-only";

import { ApiClient, ApiError, type Me } from "@tasktonic/client";
import { cookies, headers } from "next/headers";
import { redirect } from "next/navigation";
import { cache } from "react";
import { apiUrl } from "@/lib/env";

export type CookieNames = { access: string; refresh: string; secure: boolean };

/** Over TLS the names demand it: a sibling domain cannot plant such a cookie. */
export const cookieNames = cache(async (): Promise<CookieNames> => {
  const secure = (await headers()).get("x-forwarded-proto") === "https";
  const prefix = secure ? "__Host-" : "";
  return { access: `${prefix}tt_at`, refresh: `${prefix}tt_rt`, secure };
});

/** What the API's log and limits should see of the browser behind us. Identity headers never pass. */
async function passedOn(): Promise<Record<string, string>> {
  const incoming = await headers();
  const out: Record<string, string> = {};
  for (const name of ["x-forwarded-for", "x-request-id", "user-agent"]) {
    const value = incoming.get(name);
    if (value) out[name] = value;
  }
  return out;
}

/** The API with the caller's own token, or with none. */
export const api = cache(async (): Promise<ApiClient> => {
  const { access } = await cookieNames();
  return new ApiClient({
    baseUrl: apiUrl(),
    token: (await cookies()).get(access)?.value,
    headers: await passedOn(),
  });
});

/** For the sign-in alone: a stale cookie must not get in its way. */
export async function anonymousApi(): Promise<ApiClient> {
  return new ApiClient({ baseUrl: apiUrl(), headers: await passedOn() });
}

/**
 * Who the cookie says is asking, by the API's word, once per request. Undefined if nobody is signed in.
 * Headers such as X-TT-User are not read: this server can be reached on a port of its own.
 */
export const currentUser = cache(async (): Promise<Me | undefined> => {
  const { access } = await cookieNames();
  if (!(await cookies()).has(access)) return undefined;
  try {
    return await (await api()).me();
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return undefined;
    throw error;
  }
});

/** For pages: the user, or on to a fresh token, or to the sign-in. `here` is where to come back to. */
export async function requireUser(here: string): Promise<Me> {
  const user = await currentUser();
  if (user) return user;
  // The refresh cookie is not shown to pages, so the API decides between renewal and sign-in.
  redirect(`/api/v1/auth/refresh?next=${encodeURIComponent(here)}`);
}
