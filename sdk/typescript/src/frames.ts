import type { Counts, LogLine, TaskSummary } from "./types.ts";

/** Part of a task. Absent keys are unchanged. */
export type TaskPatch = Partial<TaskSummary> & {
  id: string;
  cancel_requested?: boolean;
  removed?: boolean;
};

/** A new or changed task comes inside `task`; a request to cancel and a removal name the id only. */
export type LoggedEvent = TaskPatch | { task: TaskPatch };

export type SnapshotFrame = {
  t: "snapshot";
  epoch: number;
  seq: number;
  cursor: string;
  tasks: TaskSummary[];
  counts: Counts;
};

/** One entry of the log of events: its place, and what happened there. */
export type EventsFrame = {
  t: "events";
  epoch: number;
  seq: number;
  cursor: string;
  events: LoggedEvent[];
};

/** Latest wins, not numbered. */
export type ProgressFrame = { t: "progress"; epoch: number; patches: TaskPatch[] };

export type ServerFrame =
  | { t: "welcome"; v: number; user: string; expires_at: string; heartbeat_ms: number }
  | SnapshotFrame
  | EventsFrame
  | ProgressFrame
  | { t: "log"; task: string; lines: LogLine[] }
  | { t: "counts"; counts: Counts }
  | { t: "reset" }
  | { t: "pong" }
  | { t: "error"; code: string };

export type Watch = { recent?: number; tasks: string[]; logs: Record<string, number> };

export type ClientFrame =
  | { t: "hello"; v: 1; cursor: string | null; watch: Watch }
  | { t: "watch"; tasks: string[]; logs: Record<string, number> }
  | { t: "ping" };

/** One frame, or undefined for what this version does not understand: an unknown frame is no error. */
export function readFrame(text: unknown): ServerFrame | undefined {
  if (typeof text !== "string") return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && "t" in value && typeof value.t === "string") {
      return value as ServerFrame;
    }
  } catch {
    // A frame that is no JSON says nothing; the next hole in seq will ask for what it meant.
  }
  return undefined;
}
