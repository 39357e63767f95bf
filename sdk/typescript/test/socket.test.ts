import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RECONNECT_MS_MAX, reconnectMs } from "../src/backoff.ts";
import { LogStore } from "../src/logs.ts";
import { Session } from "../src/session.ts";
import { LiveSocket, POLL_EVERY_MS } from "../src/socket.ts";
import { LiveStore } from "../src/store.ts";
import { aSnapshot, aTask, FakeSocket, REV, someEvents, WELCOME } from "./make.ts";

const NOW = Date.parse("2026-11-01T10:00:00Z");
const refreshed = () => new Response(JSON.stringify({ expires_in: 600 }), { status: 200 });

function aLink(over: { poll?: () => Promise<boolean>; random?: () => number; fetch?: typeof fetch } = {}) {
  const store = new LiveStore();
  const logs = new LogStore();
  const renewals = vi.fn(over.fetch ?? (async () => refreshed()));
  const session = new Session({ fetch: renewals as unknown as typeof fetch });
  const socket = new LiveSocket({
    url: "ws://test/ws",
    store,
    logs,
    session,
    open: FakeSocket.open,
    random: over.random ?? (() => 0.5),
    ...(over.poll ? { poll: over.poll } : {}),
  });
  return { store, logs, socket, renewals };
}

async function live(over: Parameters<typeof aLink>[0] = {}) {
  const link = aLink(over);
  link.socket.start();
  await vi.advanceTimersByTimeAsync(0);
  FakeSocket.last.accept();
  FakeSocket.last.say(WELCOME);
  FakeSocket.last.say(aSnapshot(3, 17, [aTask("a")]));
  return link;
}

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  FakeSocket.all = [];
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the socket", () => {
  it("says hello first, with what is watched, and is live after the welcome", async () => {
    const { socket, store, logs } = aLink();
    store.subscribe("a", () => {});
    logs.subscribe("b", () => {});
    logs.add("b", [{ n: 4, at: "", level: "info", text: "x" }]);
    socket.start();
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.last.protocols).toEqual(["tt.v1"]);
    expect(socket.getConnection().status).toBe("reconnecting");
    FakeSocket.last.accept();
    expect(FakeSocket.last.sent).toEqual([
      { t: "hello", v: 1, cursor: null, watch: { recent: 100, tasks: ["a"], logs: { b: 4 } } },
    ]);
    FakeSocket.last.say(WELCOME);
    expect(socket.getConnection()).toMatchObject({ status: "live", wasLive: true });
    socket.stop();
  });

  it("asks again on a hole, once, and for everything if that does not help", async () => {
    const { socket, store } = await live();
    FakeSocket.last.say(someEvents(3, 19, { id: "a", rev: REV + 1, status: "running" }));
    FakeSocket.last.say(someEvents(3, 20, { id: "a", rev: REV + 2, status: "completed" }));
    expect(FakeSocket.last.hellos().map((hello) => hello.cursor)).toEqual([null, "3-17"]);
    expect(store.get("a")?.status).toBe("queued");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(FakeSocket.last.hellos().at(-1)?.cursor).toBeNull();
    FakeSocket.last.say(aSnapshot(3, 20, [aTask("a", { rev: REV + 2, status: "completed" })]));
    expect(store.get("a")?.status).toBe("completed");
    socket.stop();
  });

  it("is content when the missed events arrive after all", async () => {
    const { socket, store } = await live();
    FakeSocket.last.say(someEvents(3, 19, { id: "a", rev: REV + 2, status: "completed" }));
    FakeSocket.last.say(someEvents(3, 18, { id: "a", rev: REV + 1, status: "running" }));
    FakeSocket.last.say(someEvents(3, 19, { id: "a", rev: REV + 2, status: "completed" }));
    await vi.advanceTimersByTimeAsync(6_000);
    expect(store.get("a")?.status).toBe("completed");
    expect(FakeSocket.last.hellos()).toHaveLength(2);
    socket.stop();
  });

  it("comes back with its cursor after the server went away", async () => {
    const { socket, store } = await live();
    FakeSocket.last.say(someEvents(3, 18, { id: "a", rev: REV + 1, status: "running" }));
    FakeSocket.last.drop(1012);
    expect(socket.getConnection().status).toBe("reconnecting");
    await vi.advanceTimersByTimeAsync(RECONNECT_MS_MAX);
    FakeSocket.last.accept();
    expect(FakeSocket.last.sent[0]).toMatchObject({ t: "hello", cursor: "3-18" });
    FakeSocket.last.say(WELCOME);
    expect(socket.getConnection().status).toBe("live");
    expect(store.get("a")?.status).toBe("running");
    socket.stop();
  });

  it("renews the token after 4401 and reconnects at once", async () => {
    const { socket, renewals } = await live();
    await vi.advanceTimersByTimeAsync(1_000);
    FakeSocket.last.drop(4401);
    await vi.advanceTimersByTimeAsync(1);
    expect(renewals).toHaveBeenCalledOnce();
    expect(renewals.mock.calls[0]?.[0]).toBe("/api/v1/auth/refresh");
    expect(FakeSocket.all).toHaveLength(2);
    socket.stop();
  });

  it("does not turn in circles when 4401 comes before any welcome", async () => {
    const { socket } = aLink();
    socket.start();
    for (let n = 0; n < 5; n += 1) {
      await vi.advanceTimersByTimeAsync(0);
      FakeSocket.last.accept();
      FakeSocket.last.drop(4401);
    }
    expect(FakeSocket.all.length).toBeLessThan(3);
    socket.stop();
  });

  it("never stops trying, and never waits longer than half a minute", async () => {
    const { socket } = aLink({ random: () => 1 });
    socket.start();
    for (let n = 0; n < 200; n += 1) {
      await vi.advanceTimersByTimeAsync(0);
      const before = FakeSocket.all.length;
      FakeSocket.last.drop();
      await vi.advanceTimersByTimeAsync(RECONNECT_MS_MAX);
      expect(FakeSocket.all.length).toBeGreaterThan(before);
    }
    socket.stop();
  });

  it.each(["focus", "pageshow", "online"])("does not wait out its backoff on %s", async (name) => {
    const { socket } = aLink({ random: () => 1 });
    socket.start();
    await vi.advanceTimersByTimeAsync(0);
    FakeSocket.last.drop();
    expect(FakeSocket.all).toHaveLength(1);
    window.dispatchEvent(new Event(name));
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.all).toHaveLength(2);
    socket.stop();
  });

  it("reconnects when a hidden tab is shown again", async () => {
    const { socket } = aLink({ random: () => 1 });
    socket.start();
    await vi.advanceTimersByTimeAsync(0);
    FakeSocket.last.drop();
    document.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(0);
    expect(FakeSocket.all).toHaveLength(2);
    socket.stop();
  });

  it("asks after waking up instead of counting the sleep as silence, and lets go of a dead socket", async () => {
    const { socket } = await live();
    vi.setSystemTime(NOW + 3_600_000);
    window.dispatchEvent(new Event("focus"));
    expect(socket.getConnection().status).toBe("live");
    expect(FakeSocket.last.sent.at(-1)).toEqual({ t: "ping" });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(socket.getConnection().status).toBe("reconnecting");
    socket.stop();
  });

  it("is live again when the network was away for a moment and the socket never noticed", async () => {
    const { socket } = await live();
    window.dispatchEvent(new Event("offline"));
    expect(socket.getConnection().status).toBe("offline");
    window.dispatchEvent(new Event("online"));
    expect(FakeSocket.last.sent.at(-1)).toEqual({ t: "ping" });
    FakeSocket.last.say({ t: "pong" });
    expect(socket.getConnection().status).toBe("live");
    expect(FakeSocket.all).toHaveLength(1);
    socket.stop();
  });

  it("measures the round trip", async () => {
    const { socket } = await live();
    await vi.advanceTimersByTimeAsync(25_000);
    expect(FakeSocket.last.sent.at(-1)).toEqual({ t: "ping" });
    await vi.advanceTimersByTimeAsync(42);
    FakeSocket.last.say({ t: "pong" });
    expect(socket.getConnection().lagMs).toBe(42);
    socket.stop();
  });

  it("polls while no socket gets through, says so, and stops once one does", async () => {
    const poll = vi.fn(async () => true);
    const { socket } = aLink({ poll, random: () => 0.01 });
    socket.start();
    await vi.advanceTimersByTimeAsync(0);
    FakeSocket.last.drop();
    await vi.advanceTimersByTimeAsync(20);
    expect(poll).not.toHaveBeenCalled();
    FakeSocket.last.drop();
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.getConnection().status).toBe("polling");
    await vi.advanceTimersByTimeAsync(30);
    FakeSocket.last.accept();
    FakeSocket.last.say(WELCOME);
    const polled = poll.mock.calls.length;
    await vi.advanceTimersByTimeAsync(3 * POLL_EVERY_MS);
    expect(poll.mock.calls.length).toBe(polled);
    expect(socket.getConnection().status).toBe("live");
    socket.stop();
  });

  it("says offline when polling fails as well", async () => {
    const { socket } = aLink({ poll: async () => false, random: () => 0.01 });
    socket.start();
    await vi.advanceTimersByTimeAsync(0);
    FakeSocket.last.drop();
    await vi.advanceTimersByTimeAsync(20);
    FakeSocket.last.drop();
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.getConnection().status).toBe("offline");
    socket.stop();
  });

  it("does not wait out its backoff once polling shows that the server is back", async () => {
    const poll = vi.fn(async () => false);
    const { socket } = aLink({ poll, random: () => 1 });
    socket.start();
    await vi.advanceTimersByTimeAsync(0);
    for (let n = 0; n < 6; n += 1) {
      FakeSocket.last.drop();
      if (n < 5) await vi.advanceTimersByTimeAsync(RECONNECT_MS_MAX);
    }
    await vi.advanceTimersByTimeAsync(POLL_EVERY_MS);
    expect(socket.getConnection().status).toBe("offline");
    const opened = FakeSocket.all.length;
    poll.mockResolvedValue(true);
    await vi.advanceTimersByTimeAsync(POLL_EVERY_MS);
    expect(socket.getConnection().status).toBe("polling");
    expect(FakeSocket.all).toHaveLength(opened + 1);
    socket.stop();
  });

  it("waits longer and longer for a server that welcomes and then hangs up", async () => {
    const { socket } = aLink({ random: () => 1 });
    socket.start();
    await vi.advanceTimersByTimeAsync(0);
    const welcomeAndDrop = () => {
      FakeSocket.last.accept();
      FakeSocket.last.say(WELCOME);
      FakeSocket.last.drop(1013);
    };
    for (let n = 0; n < 8; n += 1) {
      welcomeAndDrop();
      await vi.advanceTimersByTimeAsync(RECONNECT_MS_MAX);
    }
    const opened = FakeSocket.all.length;
    welcomeAndDrop();
    await vi.advanceTimersByTimeAsync(RECONNECT_MS_MAX - 1);
    expect(FakeSocket.all).toHaveLength(opened);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeSocket.all).toHaveLength(opened + 1);
    socket.stop();
  });

  it("tells the server when what is watched changes, once for many changes", async () => {
    const { socket, store } = await live();
    store.subscribe("x", () => {});
    const off = store.subscribe("y", () => {});
    off();
    await vi.advanceTimersByTimeAsync(60);
    const watches = FakeSocket.last.sent.filter((frame) => frame.t === "watch");
    expect(watches).toEqual([{ t: "watch", tasks: ["x"], logs: {} }]);
    socket.stop();
  });

  it("shows what it has through a reset, until the snapshot is here", async () => {
    const { socket, store } = await live();
    FakeSocket.last.say({ t: "reset" });
    expect(store.get("a")).toBeDefined();
    FakeSocket.last.say(aSnapshot(4, 1, [aTask("b")]));
    expect(store.get("a")).toBeUndefined();
    expect(store.get("b")).toBeDefined();
    socket.stop();
  });

  it("survives frames that are no JSON or not known", async () => {
    const { socket } = await live();
    FakeSocket.last.onmessage?.(new MessageEvent("message", { data: "{" }));
    FakeSocket.last.onmessage?.(new MessageEvent("message", { data: new ArrayBuffer(2) }));
    FakeSocket.last.say({ t: "tomorrow" });
    expect(socket.getConnection().status).toBe("live");
    socket.stop();
  });

  it("leaves nothing running once stopped", async () => {
    const { socket } = await live();
    FakeSocket.last.drop();
    socket.stop();
    const opened = FakeSocket.all.length;
    window.dispatchEvent(new Event("focus"));
    await vi.advanceTimersByTimeAsync(10 * RECONNECT_MS_MAX);
    expect(FakeSocket.all).toHaveLength(opened);
  });
});

describe("the backoff", () => {
  it("stays between nothing and its cap, whatever chance says", () => {
    for (let failures = 0; failures < 100; failures += 1) {
      expect(reconnectMs(failures, () => 0)).toBe(0);
      expect(reconnectMs(failures, () => 1)).toBeLessThanOrEqual(RECONNECT_MS_MAX);
    }
    expect(reconnectMs(50, () => 1)).toBe(RECONNECT_MS_MAX);
  });
});
