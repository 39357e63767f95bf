import type { Task, TaskFilter } from "@tasktonic/client";

/** Whether a list with this filter shows the task: the same rule the server lists by. */
export function matches(task: Task, filter: TaskFilter): boolean {
  if (filter.status?.length && !filter.status.includes(task.status)) return false;
  if (filter.kind && task.kind !== filter.kind) return false;
  if (filter.queue && task.queue !== filter.queue) return false;
  if (filter.tag && !task.tags.includes(filter.tag)) return false;
  if (filter.q && !task.id.startsWith(filter.q)) return false;
  const created = Date.parse(task.created_at);
  if (filter.since && created < Date.parse(filter.since)) return false;
  if (filter.until && created >= Date.parse(filter.until)) return false;
  return true;
}

/** Newest first; the id settles what was made in the same millisecond. */
export function newestFirst(a: Task, b: Task): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}
