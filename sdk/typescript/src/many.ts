import { reconnectMs } from "./backoff.ts";
import { ApiError } from "./errors.ts";
import type { BatchReply, Json, KeyMode, SubmitRequest, Task } from "./types.ts";

/** What became of one of many: `index` is its place in what was given. */
export type Submitted<Out = Json> =
  | { index: number; task: Task<Out>; error?: undefined }
  | { index: number; task?: undefined; error: ApiError };

export type SubmitManyOptions = {
  /** Ends it; those not sent yet are answered with the code `aborted`. */
  signal?: AbortSignal;
  /** Told after each part. */
  onProgress?: (now: { done: number; accepted: number; refused: number }) => void;
};

/** Tasks that the API takes in one call. */
const PART_TASKS_MAX = 1_000;
/** Bytes of tasks in one call: half of what a server takes. */
const PART_BYTES_MAX = 4 * 1024 * 1024;
/** How often one part is sent before the caller decides. */
const SENT_MAX = 4;
/** The longest that a server's own wish for a pause is waited for. */
const PAUSE_MS_MAX = 20_000;

/** Modes under which what is sent again finds its own task. */
const DATED: ReadonlySet<KeyMode> = new Set(["ttl", "throttle"]);

export type SendBatch = (body: string, signal: AbortSignal | undefined) => Promise<BatchReply>;

type One = { index: number; text: string; again: boolean };

/** Submits any number of tasks in parts, one after the other; each has its own answer, in order. */
export async function submitMany<Out = Json>(
  send: SendBatch,
  requests: Iterable<SubmitRequest>,
  { signal, onProgress }: SubmitManyOptions = {},
): Promise<Submitted<Out>[]> {
  const results: Submitted<Out>[] = [];
  let stopped: ApiError | undefined;
  let refused = 0;
  const note = (result: Submitted<Out>) => {
    if (result.error) refused += 1;
    results.push(result);
  };
  for (const part of parts(requests)) {
    if (signal?.aborted) stopped ??= new ApiError({ status: 0, code: "aborted", detail: "No longer needed." });
    const answer = stopped ?? (await sendPart(send, part, signal));
    if (answer instanceof ApiError) {
      for (const { index } of part) note({ index, error: answer });
      // One task, larger than the server takes, says nothing about the others.
      if (part.length > 1 || answer.code !== "payload_too_large") stopped = answer;
    } else {
      part.forEach(({ index }, at) => {
        const { task, error } = answer.results[at] ?? {};
        if (task) note({ index, task: task as Task<Out> });
        else note({ index, error: new ApiError(error ?? { status: 500, code: "internal" }) });
      });
    }
    onProgress?.({ done: results.length, accepted: results.length - refused, refused });
  }
  return results;
}

/** The answer to one part, or why there is none. Sent again only where that finds the same tasks. */
async function sendPart(send: SendBatch, part: One[], signal: AbortSignal | undefined): Promise<BatchReply | ApiError> {
  const body = `{"tasks":[${part.map(({ text }) => text).join(",")}]}`;
  const again = part.every((one) => one.again);
  for (let sent = 1; ; sent += 1) {
    try {
      return await send(body, signal);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      const pauseMs = error.retryAfterMs ?? reconnectMs(sent, Math.random);
      const passing = error.unreachable || [429, 502, 503, 504].includes(error.status);
      const hopeless = !again || !passing || error.code === "aborted" || pauseMs > PAUSE_MS_MAX;
      if (hopeless || sent === SENT_MAX) return error;
      await pause(pauseMs, signal);
    }
  }
}

function* parts(requests: Iterable<SubmitRequest>): Generator<One[]> {
  const encoder = new TextEncoder();
  let part: One[] = [];
  let bytes = 0;
  let index = 0;
  for (const request of requests) {
    const keyless = request.idempotency_key === undefined && request.key_mode === undefined;
    const ours = keyless && request.key_window_ms === undefined;
    const text = JSON.stringify(ours ? { ...request, idempotency_key: randomKey() } : request);
    const size = encoder.encode(text).length;
    if (part.length === PART_TASKS_MAX || (part.length > 0 && bytes + size > PART_BYTES_MAX)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push({ index, text, again: DATED.has(request.key_mode ?? "ttl") });
    bytes += size;
    index += 1;
  }
  if (part.length > 0) yield part;
}

/** A key that nobody else has. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `once-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });
}
