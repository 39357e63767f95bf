import type { TaskStatus } from "./generated/states.ts";

/** Whether a task with this status will change again only if someone asks (redrive). */
const ENDED: Record<TaskStatus, boolean> = {
  scheduled: false,
  retrying: false,
  waiting: false,
  queued: false,
  running: false,
  cancelling: false,
  completed: true,
  cancelled: true,
  failed: true,
};

export const hasEnded = (status: TaskStatus): boolean => ENDED[status];
/** Redrive is for what ended without an output: the API answers 409 for the rest. */
export const canTryAgain = (status: TaskStatus): boolean => status === "failed" || status === "cancelled";
export const canCancel = (status: TaskStatus): boolean => !ENDED[status] && status !== "cancelling";
export const STATUSES = Object.keys(ENDED) as TaskStatus[];
