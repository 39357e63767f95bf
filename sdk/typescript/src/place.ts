import type { LinkedTask } from "./flows.ts";
import type { TaskStatus } from "./generated/states.ts";

/** When a task will start, or why that cannot be said. */
export type StartEstimate =
  /** Between so many ms from the position's `at`; a true start lies inside with this probability. */
  | { is: "range"; from_ms: number; to_ms: number; probability: number }
  /** Too few of the user's tasks of this queue started lately. */
  | { is: "few_starts"; starts: number; starts_min: number }
  /** Nothing of this line has started for much longer than usual. */
  | { is: "still"; for_ms: number }
  | { is: "far_back" }
  | { is: "not_before"; at: string }
  /** Not before this task has ended: it has the same serial key, and its turn. */
  | { is: "behind"; task: string }
  | { is: "not_queued" };

/** Where a task stands in its line. */
export type TaskPosition = {
  id: string;
  status: TaskStatus;
  queue: string;
  /** The user's own tasks that go before it, `more` if so far back nobody counts; null unless it is queued. */
  ahead: { least: number; most: number; more: boolean } | null;
  /** People whose tasks wait in this queue, the user among them; null unless it is queued. */
  users: number | null;
  start: StartEstimate;
  /** When all this was true. */
  at: string;
};

/** What stands in a task's way; `turn` is nothing but its turn. */
export type WhyReason =
  | "ended"
  | "running"
  | "scheduled"
  | "waiting"
  | "serial_key"
  | "queue_paused"
  | "operator_paused"
  | "user_paused"
  | "user_paused_in_queue"
  | "user_limit"
  | "rate"
  | "queue_limit"
  | "queue_rate"
  | "no_worker"
  | "no_worker_with_label"
  | "no_worker_with_places"
  | "turn";

/** Why a task does not run. */
export type Why = {
  reason: WhyReason;
  /** The same in a sentence. */
  text: string;
  /** Only for one that is scheduled. */
  run_at?: string;
  /** The task whose turn it is. Only for one that waits for another of its serial key. */
  behind?: string;
  /** Users who take turns where it waits, its own among them. */
  users_waiting?: number;
  /** The labels that are missing where no worker has what it needs. */
  labels?: string[];
  /** How many places of a worker it takes, where that is more than one and may be why it waits. */
  places?: number;
  /** How many places the largest worker has that takes its kind. */
  places_max?: number;
  /** Tasks of its user, or of all, that run in its queue, only where those are as many as may. */
  running?: number;
  /** How many may. */
  running_max?: number;
  /** When the next task of its user may start, only where as many have started as may in so long. */
  good_in_ms?: number;
  /** Tasks that have to end first, some of them if they are many. Only for one that waits for others. */
  waits_for?: LinkedTask[];
};
