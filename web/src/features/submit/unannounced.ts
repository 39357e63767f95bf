import type { KindInfo, Task } from "@tasktonic/client";

/** Its workers are gone and so is its schema: what was sent once can still be edited as JSON. */
export const unannounced = (task: Task): KindInfo => ({
  kind: task.kind,
  queue: task.queue,
  title: null,
  description: null,
  schema: true,
  attempts_max: task.attempts_max,
  timeout_ms: task.timeout_ms,
  served: false,
});
