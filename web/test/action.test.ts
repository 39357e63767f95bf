// @vitest-environment node
import { beforeEach, describe, expect, it, vi } from "vitest";

/** The request Next.js would hold. */
const request = vi.hoisted(() => ({
  cookies: new Map<string, string>(),
  headers: new Map<string, string>(),
  set: [] as { name: string; value: string; options: Record<string, unknown> }[],
}));
vi.mock("next/headers", () => ({
  headers: async () => ({ get: (name: string) => request.headers.get(name) ?? null }),
  cookies: async () => ({
    get: (name: string) => (request.cookies.has(name) ? { name, value: request.cookies.get(name) } : undefined),
    has: (name: string) => request.cookies.has(name),
    set: (name: string, value: string, options: Record<string, unknown>) => request.set.push({ name, value, options }),
  }),
}));
vi.mock("next/navigation", () => ({ redirect: vi.fn(), unstable_rethrow: () => {} }));
vi.mock("react", async (actual) => ({ ...(await actual<object>()), cache: (f: unknown) => f }));

const { submitTask, retryTasks, cancelTask, moveTask, editTask } = await import("@/features/tasks/actions");
const { login, logout } = await import("@/features/session/actions");

const ID = "abcdefghijklmnop";
type Asked = { path: string; init: RequestInit };
let asked: Asked[] = [];

function theApi(answers: Record<string, [number, unknown]>) {
  asked = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    const { pathname } = new URL(url);
    asked.push({ path: pathname, init });
    const [status, body] = answers[pathname] ?? [404, { code: "not_found", detail: "There is nothing here." }];
    return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
  });
}
const me: [number, unknown] = [200, { user: "ana", role: "user" }];

beforeEach(() => {
  request.cookies = new Map([["tt_at", "token-of-ana"]]);
  request.headers = new Map();
  request.set = [];
});

describe("an action", () => {
  it("does nothing for a caller without a token", async () => {
    request.cookies.clear();
    theApi({ "/api/v1/me": me });
    expect(await cancelTask({ id: ID })).toMatchObject({ ok: false, code: "token_expired" });
    expect(asked).toEqual([]);
  });

  it("does nothing for a caller whose token the API refuses", async () => {
    theApi({ "/api/v1/me": [401, { code: "token_expired", detail: "Sign in." }] });
    expect(await cancelTask({ id: ID })).toMatchObject({ ok: false, code: "token_expired" });
    expect(asked.map(({ path }) => path)).toEqual(["/api/v1/me"]);
  });

  it("believes the cookie and no header that names a user", async () => {
    request.cookies.clear();
    request.headers.set("x-tt-user", "ana");
    request.headers.set("authorization", "Bearer stolen");
    theApi({ "/api/v1/me": me });
    expect(await cancelTask({ id: ID })).toMatchObject({ ok: false, code: "token_expired" });
  });

  it("carries the caller's own token to the API", async () => {
    theApi({ "/api/v1/me": me, [`/api/v1/tasks/${ID}/cancel`]: [202, { id: ID, status: "cancelled" }] });
    expect(await cancelTask({ id: ID })).toEqual({ ok: true, value: { id: ID, status: "cancelled" } });
    expect(new Headers(asked[1]?.init.headers).get("authorization")).toBe("Bearer token-of-ana");
  });

  it("refuses members it does not know, and ids that are none", async () => {
    theApi({ "/api/v1/me": me });
    const extra = { kind: "k", payload: {}, user: "ben" };
    expect(await submitTask(extra as never)).toMatchObject({ ok: false, code: "input_invalid" });
    expect(await cancelTask({ id: "../../admin" })).toMatchObject({ ok: false, code: "input_invalid" });
    expect(asked.every(({ path }) => path === "/api/v1/me")).toBe(true);
  });

  it("moves a task that waits to one place or one time, and edits it under the rev that was seen", async () => {
    const task = { id: ID, status: "queued" };
    theApi({
      "/api/v1/me": me,
      [`/api/v1/tasks/${ID}/reschedule`]: [200, task],
      [`/api/v1/tasks/${ID}/edit`]: [409, { code: "changed_meanwhile", detail: "Look again." }],
    });
    const bodies = () =>
      asked.filter(({ path }) => path !== "/api/v1/me").map(({ init }) => JSON.parse(`${init.body}`));
    expect(await moveTask({ id: ID, place: "front" })).toEqual({ ok: true, value: task });
    expect(bodies()).toEqual([{ place: "front" }]);
    expect(await moveTask({ id: ID, delay_ms: 0 })).toMatchObject({ ok: true });
    for (const odd of [{ id: ID }, { id: ID, place: "middle" }, { id: ID, delay_ms: 1, place: "back" }]) {
      expect(await moveTask(odd as never)).toMatchObject({ ok: false, code: "input_invalid" });
    }
    expect(bodies()).toHaveLength(2);
    expect(await editTask({ id: ID, payload: { n: 1 }, tags: [], rev: 7 })).toMatchObject({
      code: "changed_meanwhile",
    });
    expect(bodies()[2]).toEqual({ payload: { n: 1 }, tags: [], rev: 7 });
    expect(await editTask({ id: ID, payload: {}, tags: [] } as never)).toMatchObject({ code: "input_invalid" });
  });

  it("hands the API's refusal on, field by field", async () => {
    const problem = {
      code: "payload_invalid",
      detail: "Mend it.",
      errors: [{ pointer: "/width", detail: "too wide" }],
    };
    theApi({ "/api/v1/me": me, "/api/v1/tasks": [422, problem] });
    expect(await submitTask({ kind: "k", payload: { width: 9 } })).toEqual({
      ok: false,
      code: "payload_invalid",
      message: "Mend it.",
      fields: { "/width": "too wide" },
    });
  });

  it("makes one sentence and a request id of what nobody foresaw", async () => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    request.headers.set("x-request-id", "req-7");
    theApi({ "/api/v1/me": me, "/api/v1/tasks": [500, { code: "internal", detail: "SELECT secret FROM users" }] });
    const result = await submitTask({ kind: "k", payload: {} });
    expect(result).toMatchObject({ ok: false, code: "internal" });
    expect(JSON.stringify(result)).toContain("req-7");
    expect(JSON.stringify(result) + JSON.stringify(logged.mock.calls)).not.toContain("SELECT");
  });

  it("is one action for many tasks, and counts what did not go", async () => {
    const results = [
      { id: ID, task: {} },
      { id: "ponmlkjihgfedcba", error: { code: "not_retryable", detail: "No." } },
    ];
    theApi({ "/api/v1/me": me, "/api/v1/tasks/retry": [200, { results }] });
    expect(await retryTasks({ ids: [ID, "ponmlkjihgfedcba"] })).toEqual({
      ok: true,
      value: { changed: 1, failures: [{ id: "ponmlkjihgfedcba", code: "not_retryable", message: "No." }] },
    });
    expect(await retryTasks({ ids: Array(1001).fill(ID) })).toMatchObject({ ok: false, code: "input_invalid" });
  });
});

describe("signing in", () => {
  const tokens = { access_token: "A", refresh_token: "R", expires_in: 600, refresh_expires_in: 86_400, user: "ana" };

  it("sets both cookies out of reach of scripts, plain names on plain http", async () => {
    theApi({ "/api/v1/auth/token": [200, tokens] });
    const result = await login({ username: "ana", password: "secret", next: "//evil.example" });
    expect(result).toEqual({ ok: true, value: { next: "/tasks" } });
    expect(request.set).toEqual([
      {
        name: "tt_at",
        value: "A",
        options: { httpOnly: true, sameSite: "lax", path: "/", secure: false, maxAge: 600 },
      },
      {
        name: "tt_rt",
        value: "R",
        options: { httpOnly: true, sameSite: "lax", path: "/", secure: false, maxAge: 86_400 },
      },
    ]);
    expect(JSON.stringify(result)).not.toMatch(/"[AR]"/);
  });

  it("uses names that no sibling domain can plant over TLS", async () => {
    request.headers.set("x-forwarded-proto", "https");
    theApi({ "/api/v1/auth/token": [200, tokens] });
    await login({ username: "ana", password: "secret" });
    expect(request.set.map(({ name, options }) => [name, options.secure])).toEqual([
      ["__Host-tt_at", true],
      ["__Host-tt_rt", true],
    ]);
  });

  it("sends a stale token nowhere near the sign-in", async () => {
    theApi({ "/api/v1/auth/token": [401, { code: "credentials_invalid", detail: "Wrong name or password." }] });
    expect(await login({ username: "ana", password: "wrong" })).toEqual({
      ok: false,
      code: "credentials_invalid",
      message: "Wrong name or password.",
    });
    expect(new Headers(asked[0]?.init.headers).get("authorization")).toBeNull();
    expect(request.set).toEqual([]);
  });

  it("ends here even if the API does not answer", async () => {
    request.cookies.set("tt_rt", "R");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
    await logout();
    expect(request.set.map(({ name, options }) => [name, options.maxAge])).toEqual([
      ["tt_at", 0],
      ["tt_rt", 0],
    ]);
  });
});
