import type { KindInfo, Task } from "@tasktonic/client";

type Sent = Pick<Task, "kind"> & Partial<Pick<Task, "queue" | "attempts_max" | "timeout_ms">>;

/** Its workers are gone and so is its schema: what was sent once can still be edited as JSON. */
export const unannounced = (task: Sent): KindInfo => ({
  kind: task.kind,
  queue: task.queue ?? task.kind,
  title: null,
  description: null,
  schema: true,
  attempts_max: task.attempts_max ?? 1,
  timeout_ms: task.timeout_ms ?? null,
  served: false,
});
