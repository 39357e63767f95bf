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

/** Whether no worker has it and its time, its place in line and its input may still be changed. */
const IN_LINE: Record<TaskStatus, boolean> = {
  scheduled: true,
  retrying: true,
  waiting: false,
  queued: true,
  running: false,
  cancelling: false,
  completed: false,
  cancelled: false,
  failed: false,
};

export const hasEnded = (status: TaskStatus): boolean => ENDED[status];
/** Redrive is for what ended without an output: the API answers 409 for the rest. */
export const canTryAgain = (status: TaskStatus): boolean => status === "failed" || status === "cancelled";
export const canCancel = (status: TaskStatus): boolean => !ENDED[status] && status !== "cancelling";
/** Another time or another place in line is for what is scheduled, in line, or waits for its next attempt. */
export const canReschedule = (status: TaskStatus): boolean => IN_LINE[status];
/** So is another payload: the API answers 409 for the rest. */
export const canEdit = (status: TaskStatus): boolean => IN_LINE[status];
/** Only what has ended can be removed: the API answers 409 for the rest. */
export const canRemove = (status: TaskStatus): boolean => ENDED[status];
export const STATUSES = Object.keys(ENDED) as TaskStatus[];
