import {
  type ApiClient,
  type BytesHeld,
  type BytesLimit,
  hasEnded,
  type KindInfo,
  type Me,
  type OwnQueue,
  type Pause,
  type QueueInfo,
  type QueueList,
  STATUSES,
  type TaskSummary,
} from "@tasktonic/client";

/** One's own tasks that are looked through for the numbers of each queue. */
const TASKS_MAX = 200;
/** Queues that may be asked about by name beside those of kinds. */
const NAMED_MAX = 100;

const UNENDED = STATUSES.filter((status) => !hasEnded(status));

/** One's own tasks in a queue. */
export type Lane = { waiting: number; running: number };
export const EMPTY_LANE: Lane = { waiting: 0, running: 0 };

export type QueueRow = OwnQueue & {
  lane: Lane;
  /** What operators see of it. */
  all: QueueInfo | undefined;
};

export type Queues = {
  rows: QueueRow[];
  pause: Pause;
  /** There are more tasks of one's own than were looked through: each number is "at least". */
  more: boolean;
  /** What one's tasks hold and may hold, and what operators see of everybody. */
  held: BytesHeld;
  limit: BytesLimit | undefined;
  people: Pick<QueueList, "paused_users" | "more_paused_users"> | undefined;
};

/** Whether this person may see, or set, what holds for everybody. The API decides; this spares people its refusal. */
export function operates(
  { role, scopes }: Pick<Me, "role" | "scopes">,
  scope: "limits:read" | "limits:change",
): boolean {
  return (role === "operator" || role === "admin") && (scopes.length === 0 || scopes.includes(scope));
}

/** What a page of queues shows, read in one go, by the server or by the page; `also` is a queue that nobody may have. */
export async function readQueues(
  api: ApiClient,
  operator: boolean,
  also?: string,
  signal?: AbortSignal,
): Promise<Queues> {
  const [mine, all, held, limit] = await Promise.all([
    api.tasks({ status: UNENDED }, { limit: TASKS_MAX }, signal),
    operator ? api.queues(signal) : undefined,
    api.bytes(undefined, signal),
    operator ? api.bytesLimit(signal) : undefined,
  ]);
  const lanes = lanesOf(mine.tasks);
  const named = [
    ...new Set([...(also ? [also] : []), ...lanes.keys(), ...(all?.queues ?? []).map(({ queue }) => queue)]),
  ];
  const own = await api.ownQueues(named.slice(0, NAMED_MAX), signal);
  const infos = new Map(all?.queues.map((info) => [info.queue, info]));
  return {
    rows: own.queues.map((one) => ({
      ...one,
      lane: lanes.get(one.queue) ?? EMPTY_LANE,
      all: infos.get(one.queue),
    })),
    pause: own.pause,
    more: mine.next_cursor !== null,
    held,
    limit,
    people: all && { paused_users: all.paused_users, more_paused_users: all.more_paused_users ?? false },
  };
}

/** How many of these tasks wait and run in each queue. */
export function lanesOf(tasks: readonly Pick<TaskSummary, "queue" | "status">[]): Map<string, Lane> {
  const lanes = new Map<string, Lane>();
  for (const { queue, status } of tasks) {
    const lane = lanes.get(queue) ?? EMPTY_LANE;
    const runs = status === "running" || status === "cancelling";
    lanes.set(queue, { waiting: lane.waiting + (runs ? 0 : 1), running: lane.running + (runs ? 1 : 0) });
  }
  return lanes;
}

/** What people call the kinds of a queue. */
export const kindsText = (row: Pick<OwnQueue, "kinds">, titleOf: (kind: KindInfo["kind"]) => string): string =>
  row.kinds.map(titleOf).join(", ");
