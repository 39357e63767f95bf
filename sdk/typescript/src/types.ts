import type { TaskState, TaskStatus } from "./generated/states.ts";

export type { TaskState, TaskStatus };

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** How far along: `done` of `total`, counted in `unit`, with a `note` on what is being done now. */
export type Progress = {
  done: number;
  total: number | null;
  note?: string | null;
  unit?: string | null;
};

export type TaskError = { code: string; message: string };

/** A task as lists and socket frames carry it: everything but payload and output. */
export type TaskSummary = {
  id: string;
  kind: string;
  queue: string;
  status: TaskStatus;
  state: TaskState;
  attempt: number;
  attempts_max: number;
  /** Rises with every change of this task; compares only within one epoch. */
  rev: number;
  progress: Progress | null;
  error: TaskError | null;
  reason: string | null;
  tags: string[];
  idempotency_key: string | null;
  worker: string | null;
  created_at: string;
  run_at: string | null;
  started_at: string | null;
  ended_at: string | null;
  updated_at: string;
  timeout_ms: number | null;
  durability?: string;
  has_output: boolean;
};

/** A whole task. In the live store payload and output appear once they were read. */
export type Task<Out = Json, In = Json> = TaskSummary & { payload?: In; output?: Out | null };

/**
 * Tasks by state. `scheduled` includes those that wait for their next attempt. With `more` there are too
 * many to count them all: each number then is "at least".
 */
export type Counts = {
  all: number;
  scheduled: number;
  waiting: number;
  queued: number;
  running: number;
  completed: number;
  failed: number;
  cancelled: number;
  more?: boolean;
};

export type AttemptOutcome = "running" | "succeeded" | "failed" | "lost" | "released" | "snoozed" | "cancelled";

export type Attempt = {
  number: number;
  outcome: AttemptOutcome;
  worker: string | null;
  started_at: string | null;
  ended_at: string | null;
  duration_ms: number | null;
  error: TaskError | null;
};

export type LogLevel = "debug" | "info" | "warn" | "error";
export type LogLine = { n: number; at: string; level: LogLevel; text: string };
export type LogPage = { lines: LogLine[]; first: number; last: number; capped: boolean };

export type TaskPage = { tasks: TaskSummary[]; next_cursor: string | null };

export type KindInfo = {
  kind: string;
  queue: string;
  title: string | null;
  description: string | null;
  schema: Json;
  attempts_max: number;
  timeout_ms: number | null;
  /** Whether a worker that is alive now knows this kind. */
  served: boolean;
  example?: Json;
};

export type Me = {
  user: string;
  role: string;
  name: string | null;
  issuer: string;
  expires_at: string;
  scopes: string[];
};

export type WorkerInfo = {
  id: string;
  host: string;
  version: string;
  kinds: string[];
  concurrency: number;
  running: number;
  seen_at: string;
};

export type StoredFile = {
  id: string;
  name: string;
  size: number;
  type: string;
  sha256: string;
  created_at: string;
};

export type Tokens = {
  access_token: string;
  token_type: "Bearer";
  expires_in: number;
  refresh_token: string;
  refresh_expires_in: number;
  user: string;
};

export type SubmitRequest<In = Json> = {
  kind: string;
  payload: In;
  queue?: string;
  idempotency_key?: string;
  run_at?: string;
  delay_ms?: number;
  attempts_max?: number;
  timeout_ms?: number;
  tags?: string[];
};

export type TaskFilter = {
  status?: TaskStatus[];
  kind?: string;
  tag?: string;
  /** The beginning of a task id. */
  q?: string;
  since?: string;
  until?: string;
};

export type FieldError = { pointer: string; detail: string };

/** An RFC 9457 problem as the API sends it. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  instance?: string;
  errors?: FieldError[];
};

/** One result per id, in the order they were asked for. */
export type BulkResult = { results: { id: string; task?: TaskSummary; error?: Problem }[] };
