import type { Task } from "@tasktonic/client";

/** Why a task ended, for people: one act has one wording, whoever carried it out. */
export function reasonText({ reason }: Pick<Task, "reason">): string | undefined {
  if (reason === null) return undefined;
  return /^cancelled (by user|on request)$/.test(reason) ? "Stopped on request" : reason;
}

/** Keys that these pages make by themselves say nothing to anybody. */
export const isOwnKey = (key: string): boolean => /^web-[0-9a-f]{32}$/.test(key);
