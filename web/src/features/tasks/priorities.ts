import type { Priority } from "@tasktonic/client";

/** What a priority means, in the order of the list: a new one without words does not compile. */
export const PRIORITIES: Record<Priority, { label: string; says: string }> = {
  high: { label: "High", says: "It goes before your other tasks in its queue, and never before those of others" },
  normal: { label: "Normal", says: "Your tasks in its queue go in the order in which you sent them" },
  low: { label: "Low", says: "Your other tasks in its queue go first, but for one turn in 8" },
};
