import type { TaskStatus } from "./generated/states.ts";
import type { Json, SubmitRequest, Task } from "./types.ts";

/** What follows if a task that another waits for does not complete: the other ends too, runs, or runs and is told. */
export type OnFailure = "fail" | "ignore" | "continue";

/** A task of a flow. `after` names earlier or later ones of the request, or ids; circles are refused. */
export type FlowTask<In = Json> = {
  name?: string;
  after?: (string | { task: string; on_failure?: OnFailure })[];
  task: Omit<SubmitRequest<In>, "idempotency_key">;
};

/** All of it is accepted or nothing. Under the same `id` the same named tasks are not made twice. */
export type FlowRequest = { id?: string; tags?: string[]; tasks: FlowTask[] };

/** What `then` says runs once, when the batch is sealed and all its tasks have ended. */
export type BatchOpenRequest = { id?: string; tags?: string[]; then?: Omit<SubmitRequest, "idempotency_key"> };

/** How far it is, kept up with every end. */
export type RollUp = { total: number; completed: number; failed: number; cancelled: number };

export type FlowSort = "flow" | "batch";

export type FlowNode = {
  id: string;
  name?: string;
  kind: string;
  status: TaskStatus;
  after: { id: string; on_failure: OnFailure; ended: boolean }[];
};

/** A flow or batch with a page of its tasks. */
export type Flow = {
  task: Task;
  sort: FlowSort;
  sealed: boolean;
  roll_up: RollUp;
  tasks: FlowNode[];
  next_cursor: string | null;
};

export type PartOf = { id: string; sort: FlowSort; sealed: boolean; roll_up: RollUp };

/** A task at the other end of a tie; without kind and status once it is gone after its retention. */
export type LinkedTask = { id: string; name?: string; kind?: string; status?: TaskStatus; on_failure: OnFailure };

/** What ties a task to others. */
export type TaskLinks = {
  part_of: PartOf | null;
  gathers: PartOf | null;
  waits_for: LinkedTask[];
  leads_to: LinkedTask[];
};
