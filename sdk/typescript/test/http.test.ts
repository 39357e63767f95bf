import { describe, expect, it, vi } from "vitest";
import { ApiError } from "../src/errors.ts";
import { ApiClient, fileUrl } from "../src/http.ts";

type Asked = { url: string; init: RequestInit };

function aClient(answer: (asked: Asked) => Response, options: ConstructorParameters<typeof ApiClient>[0] = {}) {
  const asked: Asked[] = [];
  const send = async (url: string | URL | Request, init: RequestInit = {}) => {
    asked.push({ url: String(url), init });
    return answer({ url: String(url), init });
  };
  return { asked, api: new ApiClient({ baseUrl: "http://api", fetch: send as typeof fetch, ...options }) };
}
const json = (body: unknown, status = 200, type = "application/json") =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": type } });

describe("the client", () => {
  it("turns a filter into the query the API knows, and leaves out what is empty", async () => {
    const { api, asked } = aClient(() => json({ tasks: [], next_cursor: null }));
    await api.tasks({ status: ["running", "queued"], kind: "", tag: "a b" }, { limit: 10 });
    expect(asked[0]?.url).toBe("http://api/api/v1/tasks?status=running%2Cqueued&tag=a+b&limit=10");
  });

  it("moves and edits a task that waits, and only says of it what changes", async () => {
    const { api, asked } = aClient(() => json({}));
    await api.reschedule("t", { place: "front" });
    await api.edit("t", { payload: { n: 1 }, rev: 7 });
    expect(asked.map(({ url, init }) => [url.slice("http://api/api/v1/tasks/".length), init.body])).toEqual([
      ["t/reschedule", '{"place":"front"}'],
      ["t/edit", '{"payload":{"n":1},"rev":7}'],
    ]);
  });

  it("asks for schedules by their names, each verb in its own way", async () => {
    const { api, asked } = aClient(() => json({ schedules: [] }));
    const task = { kind: "noop", payload: {} };
    await api.schedules();
    await api.addSchedule({ name: "a", every_ms: 1000, task });
    await api.putSchedule({ name: "a/b", cron: "@daily", task });
    await api.pauseSchedule("a");
    await api.runSchedule("a");
    await api.nextOfSchedule("a", 2);
    await api.previewSchedule({ cron: "@daily" });
    await api.declareSchedules({ set: "s", schedules: [] });
    expect(asked.map(({ url, init }) => `${init.method} ${url.slice("http://api/api/v1/".length)}`)).toEqual([
      "GET schedules",
      "POST schedules",
      "PUT schedules/a%2Fb",
      "POST schedules/a/pause",
      "POST schedules/a/run",
      "GET schedules/a/next?count=2",
      "POST schedule-preview",
      "PUT schedules",
    ]);
  });

  it("sets what holds in queues, and only says what changes", async () => {
    const { api, asked } = aClient(() => json({ paused: true }));
    await api.setQueue("a.b", { paused: true, waiting_max: null, rate: { tasks: 5, per_ms: 1000 } });
    await api.setQueueUser("a.b", { user: "ana", weight: 3 });
    expect((await api.pause(true)).paused).toBe(true);
    expect((await api.paused("x/y")).paused).toBe(true);
    expect(asked.map(({ url, init }) => [url.slice("http://api/api/v1/".length), init.body])).toEqual([
      ["queues/a.b/settings", '{"paused":true,"waiting_max":null,"rate":{"tasks":5,"per_ms":1000}}'],
      ["queues/a.b/users", '{"user":"ana","weight":3}'],
      ["me/pause", '{"paused":true}'],
      ["users/x%2Fy/pause", undefined],
    ]);
  });

  it("asks what holds for the caller in queues, also in those that are named", async () => {
    const { api, asked } = aClient(() => json({ queues: [], pause: { paused: false } }));
    await api.ownQueues();
    expect((await api.ownQueues(["a", "b.c"])).pause.paused).toBe(false);
    expect(asked.map(({ url }) => url.slice("http://api/api/v1/".length))).toEqual([
      "me/queues",
      "me/queues?queue=a%2Cb.c",
    ]);
  });

  it("changes many tasks by what they have in common, and counts them without changing any", async () => {
    const { api, asked } = aClient(() => json({}));
    await api.bulk({ verb: "retry", filter: { kind: "mail" } });
    await api.bulkCount({ verb: "purge", filter: { all: true } });
    await api.retry("t", { payload: 1 });
    await api.purge("t");
    expect(asked.map(({ url, init }) => [url.slice("http://api/api/v1/tasks/".length), init.body])).toEqual([
      ["bulk", '{"verb":"retry","filter":{"kind":"mail"}}'],
      ["bulk", '{"verb":"purge","filter":{"all":true},"dry_run":true}'],
      ["t/retry", '{"payload":1}'],
      ["t/purge", undefined],
    ]);
  });

  it("sends the token as a header and never in the address", async () => {
    const { api, asked } = aClient(() => json({}), { token: "secret" });
    await api.task("x/../y");
    expect(asked[0]?.url).toBe("http://api/api/v1/tasks/x%2F..%2Fy");
    expect(new Headers(asked[0]?.init.headers).get("authorization")).toBe("Bearer secret");
  });

  it("makes of a problem an error with its code and its fields", async () => {
    const problem = {
      code: "payload_invalid",
      title: "Payload invalid",
      status: 422,
      detail: "Mend the fields.",
      instance: "r1",
      errors: [{ pointer: "/width", detail: "too wide" }],
    };
    const { api } = aClient(() => json(problem, 422, "application/problem+json"));
    const error = await api.submit({ kind: "k", payload: {} }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ code: "payload_invalid", status: 422, message: "Mend the fields.", instance: "r1" });
    expect((error as ApiError).errors).toEqual(problem.errors);
  });

  it("renews and repeats once after a 401, and only once", async () => {
    let calls = 0;
    const renew = vi.fn(async () => true);
    const { api } = aClient(() => (++calls === 1 ? json({ code: "token_expired" }, 401) : json({ user: "ana" })), {
      renew,
    });
    expect((await api.me()).user).toBe("ana");
    const stubborn = aClient(() => json({ code: "token_expired" }, 401), { renew });
    await expect(stubborn.api.me()).rejects.toMatchObject({ code: "token_expired" });
    expect(stubborn.asked).toHaveLength(2);
  });

  it("says unreachable when there is no answer, and not why in words of the runtime", async () => {
    const api = new ApiClient({ fetch: () => Promise.reject(new TypeError("getaddrinfo ENOTFOUND internal-host")) });
    const error = (await api.counts().catch((cause: unknown) => cause)) as ApiError;
    expect(error.unreachable).toBe(true);
    expect(error.message).not.toContain("internal-host");
  });

  it("copes with an answer that is not ours", async () => {
    const { api } = aClient(() => new Response("<html>bad gateway</html>", { status: 502 }));
    await expect(api.counts()).rejects.toMatchObject({ status: 502, code: "internal" });
  });
});

describe("a file's address", () => {
  it("escapes the id", () => {
    expect(fileUrl("a/b", { inline: true })).toBe("/api/v1/files/a%2Fb?inline=1");
  });
});
