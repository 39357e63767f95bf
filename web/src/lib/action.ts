import "server-only";

import { type ApiClient, ApiError, type Me } from "@tasktonic/client";
import { headers } from "next/headers";
import { unstable_rethrow } from "next/navigation";
import type { z } from "zod";
import { anonymousApi, api, currentUser } from "@/lib/api/server";
import { done, type Result, refused } from "@/lib/result";

type Call<In> = { input: In; api: ApiClient; user: Me };

/**
 * One Server Action: it checks the caller itself, takes only what the schema names, calls the API with
 * the caller's token, and returns a value. Its id is public, so nothing outside it protects it.
 */
export function action<S extends z.ZodType, T>(
  schema: S,
  run: (call: Call<z.output<S>>) => Promise<T>,
): (input: z.input<S>) => Promise<Result<T>> {
  return async (raw) => {
    try {
      const user = await currentUser();
      if (!user) return refused("token_expired", "You are signed out. Sign in again to go on.");
      const read = schema.safeParse(raw);
      if (!read.success) return refused("input_invalid", "Some of this cannot be read.", fieldsOf(read.error));
      return done(await run({ input: read.data, api: await api(), user }));
    } catch (error) {
      return explain(error);
    }
  };
}

/** The same for the two actions that nobody needs to be signed in for: sign in and sign out. */
export function openAction<S extends z.ZodType, T>(
  schema: S,
  run: (call: { input: z.output<S>; api: ApiClient }) => Promise<T>,
): (input: z.input<S>) => Promise<Result<T>> {
  return async (raw) => {
    try {
      const read = schema.safeParse(raw);
      if (!read.success) return refused("input_invalid", "Some of this cannot be read.", fieldsOf(read.error));
      return done(await run({ input: read.data, api: await anonymousApi() }));
    } catch (error) {
      return explain(error);
    }
  };
}

async function explain(error: unknown): Promise<Result<never>> {
  unstable_rethrow(error);
  if (error instanceof ApiError && error.code !== "internal") {
    const fields = Object.fromEntries(error.errors.map(({ pointer, detail }) => [pointer, detail]));
    return refused(error.code, error.message, fields);
  }
  const id =
    (error instanceof ApiError ? error.instance : undefined) ??
    (await headers()).get("x-request-id") ??
    crypto.randomUUID();
  console.error(JSON.stringify({ event: "action.failed", request_id: id, error: nameOf(error) }));
  return refused("internal", `Something went wrong on our side. If it stays so, report it with ${id}.`);
}

/** Enough to find the place, without what a message may carry. */
const nameOf = (error: unknown): string =>
  error instanceof Error ? `${error.name} ${error.stack?.split("\n")[1]?.trim() ?? ""}` : typeof error;

function fieldsOf(error: z.ZodError): Record<string, string> {
  return Object.fromEntries(
    error.issues.map((issue) => [issue.path.length ? `/${issue.path.join("/")}` : "", issue.message]),
  );
}
