import { ApiError, problemOf, unreachable } from "./errors.ts";
import type { BatchOpenRequest, Flow, FlowRequest, FlowTask, TaskLinks } from "./flows.ts";
import { type SubmitManyOptions, type Submitted, submitMany } from "./many.ts";
import type { OwnQueueList } from "./own-queues.ts";
import type {
  Attempt,
  BatchReply,
  BulkCount,
  BulkDone,
  BulkOrder,
  BulkResult,
  BytesHeld,
  BytesLimit,
  Counts,
  EditRequest,
  Erasure,
  Json,
  KindInfo,
  LogPage,
  Me,
  Pause,
  QueueChange,
  QueueDetail,
  QueueList,
  QueueUser,
  QueueUserChange,
  RescheduleRequest,
  RetryRequest,
  Schedule,
  SchedulePreview,
  ScheduleRequest,
  ScheduleSet,
  ScheduleSetReply,
  ScheduleTiming,
  StoredFile,
  SubmitRequest,
  Task,
  TaskFilter,
  TaskPage,
  TaskPosition,
  Tokens,
  Why,
  WorkerInfo,
} from "./types.ts";

export type ApiOptions = {
  /** Where the API is; empty on the page's own origin. */
  baseUrl?: string;
  /** A bearer token. In a browser on the same origin leave it out: the cookie speaks. */
  token?: string | undefined;
  /** Sent with every request. */
  headers?: Record<string, string>;
  fetch?: typeof fetch;
  /** Renews the token; true if it did. Asked once per refused request, then the request is repeated. */
  renew?: () => Promise<boolean>;
};

type Ask = {
  method?: string;
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  /** A body that is JSON already. */
  text?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
};

const REQUEST_TIMEOUT_MS = 30_000;
/** A wait is held open by the server; give it this much more than it was asked for. */
const WAIT_GRACE_MS = 5_000;

export function filterQuery(filter: TaskFilter): Record<string, string | undefined> {
  return {
    status: filter.status?.length ? filter.status.join(",") : undefined,
    kind: filter.kind || undefined,
    queue: filter.queue || undefined,
    tag: filter.tag || undefined,
    q: filter.q || undefined,
    since: filter.since || undefined,
    until: filter.until || undefined,
  };
}

const path = (id: string) => encodeURIComponent(id);

/** Every call of `/api/v1`, typed. Throws `ApiError` and nothing else. */
export class ApiClient {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions = {}) {
    this.#options = options;
  }

  submit<Out = Json>(request: SubmitRequest): Promise<Task<Out>> {
    return this.#ask("/api/v1/tasks", { method: "POST", body: request });
  }
  /**
   * Submits any number of tasks, in parts. The good ones are accepted though others are not; where a part is not
   * taken at all, it and all after it have that error. One without a key gets one, so that a part whose answer was
   * lost can be sent again. Throws nothing that a server said.
   */
  submitMany<Out = Json>(
    requests: Iterable<SubmitRequest>,
    options: SubmitManyOptions = {},
  ): Promise<Submitted<Out>[]> {
    const send = (text: string, signal: AbortSignal | undefined) =>
      this.#ask<BatchReply>("/api/v1/tasks/batch", { method: "POST", text, signal });
    return submitMany<Out>(send, requests, options);
  }
  task<Out = Json>(id: string, signal?: AbortSignal): Promise<Task<Out>> {
    return this.#ask(`/api/v1/tasks/${path(id)}`, { signal });
  }
  /** What stands in the way of a task that does not run. */
  why(id: string, signal?: AbortSignal): Promise<Why> {
    return this.#ask(`/api/v1/tasks/${path(id)}/why`, { signal });
  }
  tasks(filter: TaskFilter = {}, page: { limit?: number; cursor?: string } = {}, signal?: AbortSignal) {
    return this.#ask<TaskPage>("/api/v1/tasks", {
      query: { ...filterQuery(filter), limit: page.limit, cursor: page.cursor },
      signal,
    });
  }
  counts(signal?: AbortSignal): Promise<Counts> {
    return this.#ask("/api/v1/tasks/counts", { signal });
  }
  async attempts(id: string, signal?: AbortSignal): Promise<Attempt[]> {
    const body = await this.#ask<{ attempts: Attempt[] }>(`/api/v1/tasks/${path(id)}/attempts`, { signal });
    return body.attempts;
  }
  /** Where a task stands in its line, and when it will probably start. */
  position(id: string, signal?: AbortSignal): Promise<TaskPosition> {
    return this.#ask(`/api/v1/tasks/${path(id)}/position`, { signal });
  }
  logs(id: string, after = 0, limit = 1000, signal?: AbortSignal): Promise<LogPage> {
    return this.#ask(`/api/v1/tasks/${path(id)}/logs`, { query: { after, limit }, signal });
  }
  /** The task once it has ended, or as it is when the time is up. */
  wait<Out = Json>(id: string, timeoutMs: number, signal?: AbortSignal): Promise<Task<Out>> {
    const held = AbortSignal.timeout(timeoutMs + WAIT_GRACE_MS);
    return this.#ask(`/api/v1/tasks/${path(id)}/wait`, {
      query: { timeout_ms: timeoutMs },
      signal: signal ? AbortSignal.any([signal, held]) : held,
    });
  }
  cancel(id: string): Promise<Task> {
    return this.#ask(`/api/v1/tasks/${path(id)}/cancel`, { method: "POST" });
  }
  /** Redrive: sends a failed or cancelled task back to its queue, with another payload or other tags if given. */
  retry(id: string, change?: RetryRequest): Promise<Task> {
    return this.#ask(`/api/v1/tasks/${path(id)}/retry`, { method: "POST", body: change });
  }
  /** Removes a task that has ended, with all that is kept of it. */
  purge(id: string): Promise<void> {
    return this.#ask(`/api/v1/tasks/${path(id)}/purge`, { method: "POST" });
  }
  /** Gives a task that waits another time, or another place in its line. */
  reschedule(id: string, to: RescheduleRequest): Promise<Task> {
    return this.#ask(`/api/v1/tasks/${path(id)}/reschedule`, { method: "POST", body: to });
  }
  /** Changes payload or labels of a task that waits; it keeps its place. */
  edit(id: string, change: EditRequest): Promise<Task> {
    return this.#ask(`/api/v1/tasks/${path(id)}/edit`, { method: "POST", body: change });
  }
  /** Submits tasks that wait for each other, all of them or none. */
  submitFlow(request: FlowRequest): Promise<Flow> {
    return this.#ask("/api/v1/flows", { method: "POST", body: request });
  }
  /** A flow or batch with a page of its tasks. */
  flow(id: string, cursor?: string, signal?: AbortSignal): Promise<Flow> {
    return this.#ask(`/api/v1/flows/${path(id)}`, { query: { cursor }, signal });
  }
  /** Adds tasks to a flow that has not ended. */
  addToFlow(id: string, tasks: FlowTask[]): Promise<Flow> {
    return this.#ask(`/api/v1/flows/${path(id)}/tasks`, { method: "POST", body: { tasks } });
  }
  /** Sends all tasks of a flow or batch back that failed or were cancelled. */
  retryFlow(id: string): Promise<{ sent_back: number; task: Task }> {
    return this.#ask(`/api/v1/flows/${path(id)}/retry`, { method: "POST" });
  }
  openBatch(request: BatchOpenRequest = {}): Promise<Flow> {
    return this.#ask("/api/v1/batches", { method: "POST", body: request });
  }
  /** Adds tasks to a batch that is not sealed. */
  addToBatch(id: string, tasks: FlowTask[]): Promise<Flow> {
    return this.#ask(`/api/v1/batches/${path(id)}/tasks`, { method: "POST", body: { tasks } });
  }
  /** Says that a batch has all its tasks. */
  sealBatch(id: string): Promise<Flow> {
    return this.#ask(`/api/v1/batches/${path(id)}/seal`, { method: "POST" });
  }
  /** What a task waits for, who waits for it, and its flow or batch. */
  links(id: string, signal?: AbortSignal): Promise<TaskLinks> {
    return this.#ask(`/api/v1/tasks/${path(id)}/links`, { signal });
  }
  cancelMany(ids: string[]): Promise<BulkResult> {
    return this.#ask("/api/v1/tasks/cancel", { method: "POST", body: { ids } });
  }
  retryMany(ids: string[]): Promise<BulkResult> {
    return this.#ask("/api/v1/tasks/retry", { method: "POST", body: { ids } });
  }
  purgeMany(ids: string[]): Promise<BulkResult> {
    return this.#ask("/api/v1/tasks/purge", { method: "POST", body: { ids } });
  }
  /** Changes all tasks that match, as a task of its own: follow that, or cancel it to abort. */
  bulk(order: BulkOrder): Promise<Task<BulkDone>> {
    return this.#ask("/api/v1/tasks/bulk", { method: "POST", body: order });
  }
  /** How many tasks that would concern now. */
  bulkCount(order: BulkOrder): Promise<BulkCount> {
    return this.#ask("/api/v1/tasks/bulk", { method: "POST", body: { ...order, dry_run: true } });
  }
  async kinds(signal?: AbortSignal): Promise<KindInfo[]> {
    return (await this.#ask<{ kinds: KindInfo[] }>("/api/v1/kinds", { signal })).kinds;
  }
  async schedules(signal?: AbortSignal): Promise<Schedule[]> {
    return (await this.#ask<{ schedules: Schedule[] }>("/api/v1/schedules", { signal })).schedules;
  }
  schedule(name: string, signal?: AbortSignal): Promise<Schedule> {
    return this.#ask(`/api/v1/schedules/${path(name)}`, { signal });
  }
  addSchedule(request: ScheduleRequest): Promise<Schedule> {
    return this.#ask("/api/v1/schedules", { method: "POST", body: request });
  }
  /** Changes a schedule whole, or makes it. */
  putSchedule(request: ScheduleRequest): Promise<Schedule> {
    return this.#ask(`/api/v1/schedules/${path(request.name)}`, { method: "PUT", body: request });
  }
  /** Tasks that it made stay. */
  removeSchedule(name: string): Promise<void> {
    return this.#ask(`/api/v1/schedules/${path(name)}`, { method: "DELETE" });
  }
  /** What comes while it rests is passed over. */
  pauseSchedule(name: string): Promise<Schedule> {
    return this.#ask(`/api/v1/schedules/${path(name)}/pause`, { method: "POST" });
  }
  resumeSchedule(name: string): Promise<Schedule> {
    return this.#ask(`/api/v1/schedules/${path(name)}/resume`, { method: "POST" });
  }
  /** Submits its task at once, also while it rests. */
  runSchedule(name: string): Promise<Task> {
    return this.#ask(`/api/v1/schedules/${path(name)}/run`, { method: "POST" });
  }
  nextOfSchedule(name: string, count = 5, signal?: AbortSignal): Promise<SchedulePreview> {
    return this.#ask(`/api/v1/schedules/${path(name)}/next`, { query: { count }, signal });
  }
  /** When a schedule would come. Nothing is kept. */
  previewSchedule(timing: ScheduleTiming & { count?: number }, signal?: AbortSignal): Promise<SchedulePreview> {
    return this.#ask("/api/v1/schedule-preview", { method: "POST", body: timing, signal });
  }
  /** Brings a set of schedules about: those of it that are left out are removed. */
  declareSchedules(set: ScheduleSet): Promise<ScheduleSetReply> {
    return this.#ask("/api/v1/schedules", { method: "PUT", body: set });
  }
  /** Queues, what is set of them, and users whose work is paused; for operators. */
  queues(signal?: AbortSignal): Promise<QueueList> {
    return this.#ask("/api/v1/queues", { signal });
  }
  /** One queue with the users of whom anything is set there; for operators. */
  queue(name: string, signal?: AbortSignal): Promise<QueueDetail> {
    return this.#ask(`/api/v1/queues/${path(name)}`, { signal });
  }
  /** Sets what holds for everybody in a queue; answers when it holds everywhere. What is absent stays. */
  setQueue(name: string, change: QueueChange): Promise<QueueDetail> {
    return this.#ask(`/api/v1/queues/${path(name)}/settings`, { method: "POST", body: change });
  }
  /** Sets what holds for one user in a queue. What is absent stays. */
  setQueueUser(name: string, change: QueueUserChange): Promise<QueueUser> {
    return this.#ask(`/api/v1/queues/${path(name)}/users`, { method: "POST", body: change });
  }
  /** How many bytes your tasks hold, and how many they may; with a user, for operators, theirs. */
  bytes(user?: string, signal?: AbortSignal): Promise<BytesHeld> {
    return this.#ask(user === undefined ? "/api/v1/me/bytes" : `/api/v1/users/${path(user)}/bytes`, { signal });
  }
  /** Sets how many bytes the tasks of one user may hold; null is what holds for everybody. */
  setBytes(user: string, bytes_max: number | null): Promise<BytesHeld> {
    return this.#ask(`/api/v1/users/${path(user)}/bytes`, { method: "POST", body: { bytes_max } });
  }
  /** How many bytes the tasks of a user may hold of whom nothing else is set; for operators. */
  bytesLimit(signal?: AbortSignal): Promise<BytesLimit> {
    return this.#ask("/api/v1/bytes", { signal });
  }
  /** Sets that; null is no limit. */
  setBytesLimit(bytes_max: number | null): Promise<BytesLimit> {
    return this.#ask("/api/v1/bytes", { method: "POST", body: { bytes_max } });
  }
  /** Whether all your work is paused, and by whom; with a user, for operators, theirs. */
  paused(user?: string, signal?: AbortSignal): Promise<Pause> {
    return this.#ask(user === undefined ? "/api/v1/me/pause" : `/api/v1/users/${path(user)}/pause`, { signal });
  }
  /** Stops or goes on starting your tasks; with a user, for operators, theirs. Neither takes back the other's word. */
  pause(paused: boolean, user?: string): Promise<Pause> {
    const where = user === undefined ? "/api/v1/me/pause" : `/api/v1/users/${path(user)}/pause`;
    return this.#ask(where, { method: "POST", body: { paused } });
  }
  /** Queues of kinds, and those that are named, with what holds for you there. */
  ownQueues(named: readonly string[] = [], signal?: AbortSignal): Promise<OwnQueueList> {
    return this.#ask("/api/v1/me/queues", { query: { queue: named.length ? named.join(",") : undefined }, signal });
  }
  me(signal?: AbortSignal): Promise<Me> {
    return this.#ask("/api/v1/me", { signal });
  }
  /** Erases all that is kept of the caller, whose id is said once more. There is no way back. */
  eraseOwn(confirm: string): Promise<Erasure> {
    return this.#ask("/api/v1/me/data", { method: "DELETE", query: { confirm } });
  }
  /** How far that is. */
  erasure(signal?: AbortSignal): Promise<Erasure> {
    return this.#ask("/api/v1/me/data", { signal });
  }
  async workers(signal?: AbortSignal): Promise<WorkerInfo[]> {
    return (await this.#ask<{ workers: WorkerInfo[] }>("/api/v1/workers", { signal })).workers;
  }
  token(username: string, password: string): Promise<Tokens> {
    return this.#ask("/api/v1/auth/token", { method: "POST", body: { username, password } });
  }
  async logout(refreshToken?: string): Promise<void> {
    await this.#ask("/api/v1/auth/logout", {
      method: "POST",
      body: refreshToken ? { refresh_token: refreshToken } : {},
    });
  }
  upload(name: string, content: Blob | ArrayBuffer, type = "application/octet-stream"): Promise<StoredFile> {
    return this.#ask("/api/v1/files", {
      method: "POST",
      query: { name },
      body: content instanceof Blob ? content : new Blob([content], { type }),
      headers: { "content-type": type },
    });
  }

  async #ask<T>(where: string, ask: Ask): Promise<T> {
    let response = await this.#send(where, ask);
    if (response.status === 401 && this.#options.renew && (await this.#options.renew())) {
      response = await this.#send(where, ask);
    }
    if (!response.ok) throw await problemOf(response);
    if (response.status === 204) return undefined as T;
    try {
      return (await response.json()) as T;
    } catch {
      throw unreachable("The answer was cut off. Try again.");
    }
  }

  async #send(where: string, ask: Ask): Promise<Response> {
    const { baseUrl = "", token, headers, fetch: send = fetch } = this.#options;
    const query = new URLSearchParams();
    for (const [key, value] of Object.entries(ask.query ?? {})) {
      if (value !== undefined) query.set(key, String(value));
    }
    const raw = ask.body instanceof Blob;
    const text = ask.text ?? (ask.body === undefined || raw ? undefined : JSON.stringify(ask.body));
    const limit = AbortSignal.timeout(raw ? 10 * REQUEST_TIMEOUT_MS : REQUEST_TIMEOUT_MS);
    try {
      return await send(`${baseUrl}${where}${query.size ? `?${query}` : ""}`, {
        method: ask.method ?? "GET",
        cache: "no-store",
        redirect: "manual",
        headers: {
          accept: "application/json",
          ...headers,
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...(text !== undefined ? { "content-type": "application/json" } : {}),
          ...ask.headers,
        },
        signal: ask.signal ?? limit,
        ...(raw ? { body: ask.body as Blob } : text !== undefined ? { body: text } : {}),
      });
    } catch (error) {
      if (ask.signal?.aborted) throw new ApiError({ status: 0, code: "aborted", detail: "No longer needed." });
      throw unreachable(
        error instanceof DOMException && error.name === "TimeoutError"
          ? "The server did not answer in time. Try again in a moment."
          : "The server cannot be reached. Check the connection and try again.",
      );
    }
  }
}

/** Where a stored file can be read. `inline` lets images the server holds safe show in the page. */
export const fileUrl = (id: string, options: { inline?: boolean; baseUrl?: string } = {}): string =>
  `${options.baseUrl ?? ""}/api/v1/files/${path(id)}${options.inline ? "?inline=1" : ""}`;

/** Where the output of a task can be read whole, however long it is. */
export const outputUrl = (task: string, options: { baseUrl?: string } = {}): string =>
  `${options.baseUrl ?? ""}/api/v1/tasks/${path(task)}/output`;
