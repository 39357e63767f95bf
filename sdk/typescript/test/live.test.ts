import { describe, expect, it } from "vitest";
import { ApiClient } from "../src/http.ts";
import { Live, socketUrl } from "../src/live.ts";
import { LogStore } from "../src/logs.ts";
import type { LogLine } from "../src/types.ts";
import { aTask, FakeSocket, handCrank } from "./make.ts";

const line = (n: number): LogLine => ({ n, at: "2026-11-01T10:00:00.000Z", level: "info", text: `line ${n}` });

function aLive(routes: Record<string, unknown>) {
  const asked: string[] = [];
  const send = async (url: string | URL | Request) => {
    const { pathname, search } = new URL(String(url), "http://test");
    asked.push(pathname + search);
    const body = routes[pathname];
    return body === undefined
      ? new Response(JSON.stringify({ code: "not_found", detail: "no" }), {
          status: 404,
          headers: { "content-type": "application/problem+json" },
        })
      : new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
  };
  const api = new ApiClient({ baseUrl: "http://test", fetch: send as typeof fetch });
  return { asked, live: new Live({ api, open: FakeSocket.open }) };
}

describe("polling", () => {
  it("reads the recent tasks, the counts, the watched ones beyond them, and the rest of watched logs", async () => {
    const { live, asked } = aLive({
      "/api/v1/tasks": { tasks: [aTask("new")], next_cursor: null },
      "/api/v1/tasks/counts": { all: 2 },
      "/api/v1/tasks/old": aTask("old", { status: "completed" }),
      "/api/v1/tasks/old/logs": { lines: [line(3)], first: 1, last: 3, capped: false },
    });
    live.store.subscribe("old", () => {});
    live.logs.subscribe("old", () => {});
    live.logs.add("old", [line(1), line(2)]);
    expect(await live.poll()).toBe(true);
    expect(live.store.get("new")).toBeDefined();
    expect(live.store.get("old")?.status).toBe("completed");
    expect(live.store.getCounts()?.all).toBe(2);
    expect(live.logs.get("old").lines.map((one) => one.n)).toEqual([1, 2, 3]);
    expect(asked).toContain("/api/v1/tasks/old/logs?after=2&limit=1000");
  });

  it("drops a watched task that is gone, and says so when nothing can be read", async () => {
    const { live } = aLive({ "/api/v1/tasks": { tasks: [], next_cursor: null }, "/api/v1/tasks/counts": { all: 0 } });
    live.store.seed(aTask("gone"));
    live.store.subscribe("gone", () => {});
    expect(await live.poll()).toBe(true);
    expect(live.store.get("gone")).toBeUndefined();
    expect(await aLive({}).live.poll()).toBe(false);
  });
});

describe("log lines", () => {
  it("are kept in order, each once, however they arrive", () => {
    const crank = handCrank();
    const logs = new LogStore(crank.schedule);
    let woken = 0;
    logs.subscribe("a", () => {
      woken += 1;
    });
    logs.add("a", [line(3), line(4)]);
    logs.add("a", [line(1), line(2), line(3)]);
    logs.add("a", [line(5)]);
    logs.add("a", [line(5)]);
    crank.turn();
    expect(logs.get("a").lines.map((one) => one.n)).toEqual([1, 2, 3, 4, 5]);
    expect(logs.watched()).toEqual({ a: 5 });
    expect(woken).toBe(1);
  });
});

describe("the address of the socket", () => {
  it("follows the page's own scheme and host", () => {
    expect(socketUrl("/ws")).toMatch(/^wss?:\/\/[^/]+\/ws$/);
    expect(socketUrl("wss://elsewhere/ws")).toBe("wss://elsewhere/ws");
  });
});
