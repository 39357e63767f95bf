/** A name of a queue as the API takes it; what its workers have to have stands behind it. */
export const QUEUE_NAME = /^[A-Za-z0-9_.-]{1,64}(\+[a-z0-9_-]{1,32}){0,3}$/;

/** What a worker has to have to take tasks of a queue. */
export const labelsOf = (queue: string): string[] => queue.split("+").slice(1);

/** Turns that one person may be given for one of the others. */
export const WEIGHT_MAX = 1_000;
/** Waiting tasks of one person that may be set. */
export const WAITING_MAX_MAX = 10_000_000;
/** Tasks of one person at once that may be set. */
export const RUNNING_MAX_MAX = 100_000;
/** Tasks of a rate, its time in ms, and those at once after a rest. */
export const RATE_TASKS_MAX = 1_000_000;
export const RATE_PER_MS_MAX = 86_400_000;
export const RATE_BURST_MAX = 1_000_000;

/** Where the page of a queue is. */
export const queueHref = (queue: string): string => `/queues/${encodeURIComponent(queue)}`;
