import type { Task } from "@tasktonic/client";

/** Why a task ended, for people: one act has one wording, whoever carried it out. */
export function reasonText({ reason }: Pick<Task, "reason">): string | undefined {
  if (reason === null) return undefined;
  if (hasExpired({ reason })) return "Nobody took it in time";
  return /^cancelled (by user|on request)$/.test(reason) ? "Stopped on request" : reason;
}

/** Whether it ended because no worker took it by the time its sender gave. */
export const hasExpired = ({ reason }: Pick<Task, "reason">): boolean => reason === "expired";

/** What kept a change from a task that waited a moment ago. */
export function tooLate(code: string, message: string): string {
  switch (code) {
    case "not_waiting":
      return "A worker has it by now, or it has ended. The page shows it as it is.";
    case "not_retryable":
      return "It was sent back by somebody else, or it is gone. The page shows it as it is.";
    case "changed_meanwhile":
      return "It was changed at the same time. The page shows it as it is now; try again.";
    default:
      return message;
  }
}

/** Keys that these pages make by themselves say nothing to anybody. */
export const isOwnKey = (key: string): boolean => /^web-[0-9a-f]{32}$/.test(key);
