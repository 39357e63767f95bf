import {
  type BulkFilter,
  type BulkVerb,
  type Counts,
  canCancel,
  canRemove,
  canTryAgain,
  type TaskFilter,
  type TaskStatus,
} from "@tasktonic/client";
import { count } from "@/lib/format";

/** The tabs above the list, each with the statuses behind it. */
export type TabId = "all" | "queued" | "running" | "completed" | "failed" | "cancelled" | "scheduled";

type Tab = { label: string; statuses: TaskStatus[]; count: (counts: Counts) => number };

export const TABS: Record<TabId, Tab> = {
  all: { label: "All", statuses: [], count: (c) => c.all },
  running: { label: "Running", statuses: ["running", "cancelling"], count: (c) => c.running },
  queued: { label: "Queued", statuses: ["queued", "waiting"], count: (c) => c.queued + c.waiting },
  scheduled: { label: "Scheduled", statuses: ["scheduled", "retrying"], count: (c) => c.scheduled },
  completed: { label: "Completed", statuses: ["completed"], count: (c) => c.completed },
  failed: { label: "Failed", statuses: ["failed"], count: (c) => c.failed },
  cancelled: { label: "Cancelled", statuses: ["cancelled"], count: (c) => c.cancelled },
};

/** The number on a tab. */
export const shownCount = (id: TabId, counts: Counts): string => count(TABS[id].count(counts));

export const SPANS = {
  "1h": { label: "Last hour", ms: 3_600_000 },
  "24h": { label: "Last 24 hours", ms: 86_400_000 },
  "7d": { label: "Last 7 days", ms: 7 * 86_400_000 },
  "30d": { label: "Last 30 days", ms: 30 * 86_400_000 },
} as const;
export type SpanId = keyof typeof SPANS;

/** What the list shows, as it stands in the URL. */
export type ListQuery = { status: TabId; kind: string; queue: string; tag: string; q: string; span: SpanId | "" };

export const EVERYTHING: ListQuery = { status: "all", kind: "", queue: "", tag: "", q: "", span: "" };

/** As many words as the API takes in a search. */
const SEARCH_WORDS_MAX = 8;

type Params = Record<string, string | string[] | undefined>;

const one = (params: Params, key: string): string => {
  const value = params[key];
  return (Array.isArray(value) ? value[0] : value)?.trim().slice(0, 128) ?? "";
};

/** Reads a URL somebody may have typed: what makes no sense is left out. */
export function readQuery(params: Params): ListQuery {
  const status = one(params, "status");
  const span = one(params, "time");
  return {
    status: Object.hasOwn(TABS, status) ? (status as TabId) : "all",
    kind: one(params, "kind"),
    queue: one(params, "queue"),
    tag: one(params, "tag"),
    q: one(params, "q").split(/\s+/u).slice(0, SEARCH_WORDS_MAX).join(" "),
    span: Object.hasOwn(SPANS, span) ? (span as SpanId) : "",
  };
}

export function writeQuery(query: ListQuery): string {
  const params = new URLSearchParams();
  if (query.status !== "all") params.set("status", query.status);
  if (query.kind) params.set("kind", query.kind);
  if (query.queue) params.set("queue", query.queue);
  if (query.tag) params.set("tag", query.tag);
  if (query.q) params.set("q", query.q);
  if (query.span) params.set("time", query.span);
  return params.size ? `?${params}` : "";
}

/** As the API understands it. The window moves in whole minutes, so that a list stays the same list. */
export function toFilter(query: ListQuery, nowMs: number): TaskFilter {
  const minute = Math.floor(nowMs / 60_000) * 60_000;
  const statuses = TABS[query.status].statuses;
  return {
    ...(statuses.length ? { status: statuses } : {}),
    ...(query.kind ? { kind: query.kind } : {}),
    ...(query.queue ? { queue: query.queue } : {}),
    ...(query.tag ? { tag: query.tag } : {}),
    ...(query.q ? { q: query.q } : {}),
    ...(query.span ? { since: new Date(minute - SPANS[query.span].ms).toISOString() } : {}),
  };
}

/** Whether anything but the tab narrows the list. */
export const isNarrowed = (query: ListQuery): boolean =>
  query.kind !== "" || query.queue !== "" || query.tag !== "" || query.q !== "" || query.span !== "";

const FITS: Record<BulkVerb, (status: TaskStatus) => boolean> = {
  // Who was asked to stop already is left alone.
  cancel: (status) => canCancel(status) || status === "cancelling",
  retry: canTryAgain,
  purge: canRemove,
};

/** Whether a verb can be for all tasks of this list. */
export const fitsAll = (verb: BulkVerb, filter: TaskFilter): boolean =>
  !filter.status?.length || filter.status.every(FITS[verb]);

/** What an operation on all tasks of this list is for. */
export function toBulk({ status, ...rest }: TaskFilter): BulkFilter {
  const filter: BulkFilter = { ...rest, ...(status?.length ? { status } : {}) };
  return Object.keys(filter).length > 0 ? filter : { all: true };
}
