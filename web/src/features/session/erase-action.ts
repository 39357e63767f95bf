"use server";

import { z } from "zod";
import { action } from "@/lib/action";

/** Whoever is signed in erases their own data and nobody else's: the API compares what was typed with who asks. */
export const eraseData = action(z.strictObject({ confirm: z.string().min(1).max(256) }), ({ input, api }) =>
  api.eraseOwn(input.confirm),
);

export const erasureNow = action(z.strictObject({}), ({ api }) => api.erasure());
