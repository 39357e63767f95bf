import type { TaskState, TaskStatus } from "./generated/states.ts";

export type * from "./place.ts";
export type { TaskState, TaskStatus };

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * How far along: `done` of `total`, counted in `unit`, with a `note` on what is being done now. Work that has parts
 * names the one it is in as `phase`; `weight` is how much of the whole that part is, `before` how much the parts before
 * it were, 0 to 1.
 */
export type Progress = {
  done: number;
  total: number | null;
  note?: string | null;
  unit?: string | null;
  phase?: string | null;
  weight?: number | null;
  before?: number | null;
};

/**
 * The wait between attempts: the same every time, `base_ms * factor ** (attempt - 1)` up to `max_ms`, or one wait per
 * attempt of which the last is used from then on. A wait `w` becomes `w * (1 ± jitter)`.
 */
export type Backoff =
  | { form: "fixed"; wait_ms: number; jitter?: number }
  | { form: "exponential"; base_ms?: number; factor?: number; max_ms?: number; jitter?: number }
  | { form: "list"; waits_ms: number[]; jitter?: number };

/** What follows an error of this code; with `*` at its end, of all that begin like it. The first that fits decides. */
export type Rule =
  | { code: string; action: "again"; backoff?: Backoff }
  | { code: string; action: "again_after"; after_ms: number }
  | { code: string; action: "bury" };

/** How long a task is kept after its end, in seconds. */
export type Keep = { completed_s?: number; cancelled_s?: number; failed_s?: number };

/** How a task is attempted and kept, beside `attempts_max` and `timeout_ms`. */
export type TaskPolicy = {
  /** With this many attempts that lost their worker it has failed. */
  crashes_max: number;
  backoff: Backoff;
  rules: Rule[];
  /** The handler is told to stop after this long. */
  soft_timeout_ms: number | null;
  keep: Keep;
};

export type TaskError = { code: string; message: string };

/** A task as lists and socket frames carry it: everything but payload, output and policy. */
export type TaskSummary = {
  id: string;
  kind: string;
  queue: string;
  /** What a worker has to have to take it. */
  needs?: string[];
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
  /** The schedule that made it; without `at` where somebody had it run at once. */
  schedule?: { name: string; at: string | null } | null;
  worker: string | null;
  created_at: string;
  run_at: string | null;
  /** When it is cancelled if nobody takes it, as long as nobody has. */
  expires_at?: string | null;
  started_at: string | null;
  ended_at: string | null;
  updated_at: string;
  timeout_ms: number | null;
  /** Which of its user's own tasks go first; absent for `normal`. */
  priority?: Priority;
  durability?: string;
  has_output: boolean;
  /** Whether `output` names the file that the output is the content of; `/api/v1/tasks/{id}/output` gives it whole. */
  output_in_file?: boolean;
};

/** A whole task. In the live store payload, output and policy appear once they were read. */
export type Task<Out = Json, In = Json> = TaskSummary & {
  payload?: In;
  output?: Out | null;
  policy?: TaskPolicy;
  /** The key of the tasks it may not run beside. */
  serial_key?: string;
};

/**
 * Tasks by state, exact at any number. `scheduled` includes those that wait for their next attempt;
 * `bytes` is what they hold.
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
  bytes: number;
};

/** What the tasks of a user hold and may hold, in bytes; null is no limit, and `own_max` what is set of this user. */
export type BytesHeld = { bytes: number; bytes_max: number | null; own_max: number | null };

/** What holds for everybody of whom nothing else is set. */
export type BytesLimit = { bytes_max: number | null };

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
  crashes_max?: number;
  backoff?: Backoff;
  rules?: Rule[];
  timeout_ms: number | null;
  soft_timeout_ms?: number;
  keep?: Keep;
  /** Whether its progress may go back. */
  rewinds?: boolean;
  /** What a worker has to have to take its tasks, unless a submission says otherwise. */
  needs?: string[];
  /** How many places of a worker one of its tasks takes while it runs; absent for one. */
  places?: number;
  /** Whether a worker that is alive now knows this kind, and has what it needs. */
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
  /** What it has: it takes tasks that need some of these too. */
  labels?: string[];
  /** How many places it has: attempts it may run at once, where each takes one. */
  concurrency: number;
  running: number;
  /** Places that those take; absent where each takes one. */
  taken?: number;
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

/**
 * What a submission makes of the task that has its key already.
 *
 * - `ttl`: it is the same submission, for `key_window_ms` (a day); another body is a conflict
 * - `until_done`, `until_started`: the same while that task has not ended, or waits
 * - `unique`: that task does for this one while it has not ended, whatever the body
 * - `throttle`: one is accepted in each `key_window_ms`, and does for the others
 * - `debounce`: the last one runs once nobody has submitted for `key_window_ms`
 * - `replace`: one that waits is cancelled for this one
 * - `latest`: the same, and this one starts once the one that runs has ended
 * - `restart`: the same, and the one that runs is asked to stop
 */
export type KeyMode =
  | "ttl"
  | "until_done"
  | "until_started"
  | "unique"
  | "throttle"
  | "debounce"
  | "replace"
  | "latest"
  | "restart";

/** Which of one person's own tasks go first: never before those of others. Low ones go first in one of 8 turns. */
export type Priority = "high" | "normal" | "low";

export type SubmitRequest<In = Json> = {
  kind: string;
  payload: In;
  queue?: string;
  /** Only workers that have all of these labels take it, such as `gpu`; as its kind says, unless said. */
  needs?: string[];
  idempotency_key?: string;
  /** What it makes of the task that has the key already; `ttl` unless said. */
  key_mode?: KeyMode;
  /** The window of the key: see `KeyMode`. */
  key_window_ms?: number;
  /** Which of the user's own tasks of its queue go first; `normal` unless said. */
  priority?: Priority;
  /** Tasks of one serial key run one at a time, in order. */
  serial_key?: string;
  run_at?: string;
  delay_ms?: number;
  /** Cancelled if nobody has taken it by this time; RFC 3339. */
  expires_at?: string;
  /** Cancelled if nobody has taken it this long from now. */
  expire_after_ms?: number;
  /** Attempts in all. */
  attempts_max?: number;
  /** Attempts that may end with the loss of their worker: with this many the task has failed. */
  crashes_max?: number;
  backoff?: Backoff;
  rules?: Rule[];
  /** An attempt is cut off after this long. */
  timeout_ms?: number;
  /** The handler is told to stop after this long; below `timeout_ms`. */
  soft_timeout_ms?: number;
  keep?: Keep;
  tags?: string[];
};

/** What became of each task of a batch, in order. */
export type BatchReply = { results: { index: number; task?: Task; error?: Problem }[] };

/** Where a task that waits goes: one of these. */
export type RescheduleRequest = { run_at: string } | { delay_ms: number } | { place: "front" | "back" };

/** What is absent stays. With `rev` only if that is still the task's. */
export type EditRequest<In = Json> = { payload?: In; tags?: string[]; rev?: number };

export type TaskFilter = {
  status?: TaskStatus[];
  kind?: string;
  queue?: string;
  tag?: string;
  /**
   * Words, whatever their case: each at the beginning of the id, or of a word of kind, queue, tags or the error of a
   * task that failed.
   */
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
/** What an operation on many tasks does with each: stop it, send it back, or remove it with all that is kept of it. */
export type BulkVerb = "cancel" | "retry" | "purge";

/**
 * Which tasks an operation is for: those that exist when it is asked for. `all` is said where nothing else is. Without
 * a status a retry is for those that failed, the other verbs for all that they can be for.
 */
export type BulkFilter = {
  status?: TaskStatus[];
  kind?: string;
  queue?: string;
  tag?: string;
  id_prefix?: string;
  /** Words, as in a list. */
  q?: string;
  since?: string;
  until?: string;
  all?: boolean;
};

export type BulkOrder = { verb: BulkVerb; filter: BulkFilter; idempotency_key?: string };

/** So many match; with `more` at least so many. */
export type BulkCount = { tasks: number; more: boolean };

/** The output of an operation. `asked`: those that run and whose worker was asked to stop. */
export type BulkDone = { changed: number; asked: number; skipped: number };

/** Another payload or other labels for the new life of a task that is tried again. */
export type RetryRequest = {
  payload?: Json;
  tags?: string[];
  /** Of the end that is to be tried again; any end if absent. */
  rev?: number;
};

/** How far the erasure of all that is kept of a user is. */
export type Erasure = {
  state: "removing" | "rewriting" | "done";
  asked_at: string;
  done_at: string | null;
  tasks: number;
  files: number;
  account: boolean;
};

export type BulkResult = { results: { id: string; task?: TaskSummary; error?: Problem }[] };

/** What becomes of the times of a schedule at which nobody was there. */
export type CatchUp = "skip" | "one" | "all";

/** When a schedule comes: `cron` in `zone`, or `every_ms`. */
export type ScheduleTiming = {
  /** Five fields: minute, hour, day of the month, month, day of the week; or `@daily` and the like. */
  cron?: string | null;
  /** An IANA time zone; UTC unless said. */
  zone?: string | null;
  every_ms?: number | null;
  starts_at?: string | null;
  ends_at?: string | null;
};

export type ScheduleRequest = ScheduleTiming & {
  /** 1 to 64 characters of A-Z a-z 0-9 _ . - */
  name: string;
  catch_up?: CatchUp;
  paused?: boolean;
  /** Only if this is still its version, so that nobody's change is lost. */
  version?: string;
  /** The task of each tick: without times and key of its own, and without files. */
  task: SubmitRequest;
};

export type ScheduleStatus = "active" | "paused" | "ended";
export type PassedReason = "missed" | "line_full" | "refused";

export type Schedule = ScheduleTiming & {
  name: string;
  version: string;
  /** The set it was declared with. */
  set: string | null;
  /** When it comes, in plain words. */
  words: string;
  catch_up: CatchUp;
  status: ScheduleStatus;
  next_at: string | null;
  /** The last tick that made a task, and that task; it may be gone by now. */
  last_at: string | null;
  last_task: string | null;
  /** The last tick that made none. */
  passed: { at: string; reason: PassedReason; detail?: string } | null;
  created_at: string;
  updated_at: string;
  task: SubmitRequest;
};

export type ScheduleSet = { set: string; schedules: ScheduleRequest[] };
export type ScheduleSetReply = { added: string[]; changed: string[]; unchanged: string[]; removed: string[] };
export type SchedulePreview = { words: string; zone: string | null; next: string[] };

export type * from "./queue-types.ts";
