import { describe, expect, it, vi } from "vitest";
import { ApiError } from "../src/errors.ts";
import { ApiClient } from "../src/http.ts";
import type { SubmitRequest } from "../src/types.ts";

type Sent = { tasks: SubmitRequest[] };

/** A client whose server answers a batch so. */
function aClient(answer: (sent: Sent, call: number) => Response | Error) {
  const calls: Sent[] = [];
  const send = async (_: unknown, init: RequestInit = {}) => {
    if (init.signal?.aborted) throw new DOMException("aborted", "AbortError");
    const sent = JSON.parse(String(init.body)) as Sent;
    calls.push(sent);
    const said = answer(sent, calls.length);
    if (said instanceof Error) throw said;
    return said;
  };
  return { calls, api: new ApiClient({ baseUrl: "http://api", fetch: send as typeof fetch }) };
}
const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
const taken = ({ tasks }: Sent) =>
  json({ results: tasks.map(({ payload }, index) => ({ index, task: { id: `t${(payload as { n: number }).n}` } })) });
const requests = (count: number, more: Partial<SubmitRequest> = {}): SubmitRequest[] =>
  Array.from({ length: count }, (_, n) => ({ kind: "noop", payload: { n }, ...more }));

describe("many submissions", () => {
  it("sends any number in parts, and answers for each at its place", async () => {
    const { api, calls } = aClient(({ tasks }) =>
      json({
        results: tasks.map(({ payload }, index) => {
          const { n } = payload as { n: number };
          const error = { status: 422, code: "payload_invalid", errors: [{ pointer: "/n", detail: "is odd" }] };
          return n % 1_000 === 7 ? { index, error } : { index, task: { id: `t${n}` } };
        }),
      }),
    );
    const progress = vi.fn();
    const results = await api.submitMany(requests(2_500), { onProgress: progress });
    expect(calls.map(({ tasks }) => tasks.length)).toEqual([1_000, 1_000, 500]);
    expect(results.map(({ index }) => index)).toEqual(Array.from({ length: 2_500 }, (_, n) => n));
    expect(results.filter(({ error }) => error).map(({ index }) => index)).toEqual([7, 1_007, 2_007]);
    expect(results[1_007]?.error?.errors).toEqual([{ pointer: "/n", detail: "is odd" }]);
    expect(results[2_499]?.task?.id).toBe("t2499");
    expect(progress.mock.calls.at(-1)?.[0]).toEqual({ done: 2_500, accepted: 2_497, refused: 3 });
    expect(await api.submitMany([])).toEqual([]);
    expect(calls).toHaveLength(3);
  });

  it("keeps parts below what a server takes", async () => {
    const { api, calls } = aClient(taken);
    const text = "\u{1f600}".repeat(250_000);
    await api.submitMany(requests(9).map((one, n) => ({ ...one, payload: { n, text } })));
    expect(calls.map(({ tasks }) => tasks.length)).toEqual([4, 4, 1]);
  });

  it("sends a part again under the same keys where that finds the same tasks", async () => {
    const { api, calls } = aClient((sent, call) =>
      call === 1
        ? new TypeError("reset")
        : call === 2
          ? json({ code: "store_full" }, 503, { "retry-after": "0" })
          : taken(sent),
    );
    vi.spyOn(Math, "random").mockReturnValue(0);
    const results = await api.submitMany(requests(3));
    vi.restoreAllMocks();
    expect(results.map(({ task }) => task?.id)).toEqual(["t0", "t1", "t2"]);
    const keys = calls.map(({ tasks }) => tasks.map((task) => task.idempotency_key));
    expect(keys[1]).toEqual(keys[0]);
    expect(keys[2]).toEqual(keys[0]);
    expect(new Set(keys[0]).size).toBe(3);
  });

  it("sends once what might be another task by then, and nothing after it", async () => {
    const { api, calls } = aClient((sent, call) => (call === 1 ? taken(sent) : new TypeError("reset")));
    const later = requests(2_500, { idempotency_key: "k", key_mode: "until_done" });
    const results = await api.submitMany(later);
    expect(calls).toHaveLength(2);
    expect(results).toHaveLength(2_500);
    expect(results.filter(({ task }) => task)).toHaveLength(1_000);
    expect(results[2_499]?.error).toBeInstanceOf(ApiError);
    expect(results[2_499]?.error?.code).toBe("unreachable");
  });

  it("goes on after one that is larger than the server takes, and stops when it is no longer needed", async () => {
    const text = "x".repeat(4 * 1024 * 1024);
    const { api } = aClient((sent) => {
      return sent.tasks.some(({ payload }) => "text" in (payload as object))
        ? json({ code: "payload_too_large" }, 413)
        : taken(sent);
    });
    const [first, , third] = requests(3);
    const given = [first, { kind: "noop", payload: { text } }, third] as SubmitRequest[];
    const codes = (await api.submitMany(given)).map(({ task, error }) => task?.id ?? error?.code);
    expect(codes).toEqual(["t0", "payload_too_large", "t2"]);
    const stop = new AbortController();
    const results = await api.submitMany(requests(2_000), { signal: stop.signal, onProgress: () => stop.abort() });
    expect(results[999]?.task?.id).toBe("t999");
    expect(results[1_000]?.error?.code).toBe("aborted");
  });
});
