"use server";

import { cookies } from "next/headers";
import { z } from "zod";
import { openAction } from "@/lib/action";
import { anonymousApi, cookieNames } from "@/lib/api/server";
import { safeNext } from "@/lib/next-path";

const Credentials = z.strictObject({
  username: z.string().trim().min(1, "Type your name.").max(200),
  password: z.string().min(1, "Type your password.").max(1024),
  next: z.string().optional(),
});

/** Signs in and says where to go on. */
export const login = openAction(Credentials, async ({ input, api }) => {
  const tokens = await api.token(input.username, input.password);
  const { access, refresh, secure } = await cookieNames();
  const jar = await cookies();
  const shared = { httpOnly: true, sameSite: "lax", path: "/", secure } as const;
  jar.set(access, tokens.access_token, { ...shared, maxAge: tokens.expires_in });
  jar.set(refresh, tokens.refresh_token, { ...shared, maxAge: tokens.refresh_expires_in });
  return { next: safeNext(input.next) };
});

/** Signs out here whatever the API says: a dead server must not keep anyone signed in. */
export async function logout(): Promise<void> {
  const { access, refresh, secure } = await cookieNames();
  const jar = await cookies();
  const token = jar.get(refresh)?.value;
  const api = await anonymousApi();
  if (token) await api.logout(token).catch(() => undefined);
  for (const name of [access, refresh]) {
    jar.set(name, "", { httpOnly: true, sameSite: "lax", path: "/", secure, maxAge: 0 });
  }
}
