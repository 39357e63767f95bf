import { describe, expect, it, vi } from "vitest";
import { LiveStore, soon } from "../src/store.ts";
import { aSnapshot, aTask, handCrank, REV, someEvents } from "./make.ts";

function aStore() {
  const crank = handCrank();
  const store = new LiveStore(crank.schedule);
  return { store, crank };
}

describe("the store", () => {
  it("ignores a patch whose rev is not above the known one", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", { rev: REV + 5, status: "running" })]));
    store.applyEvents(someEvents(1, 2, { id: "a", rev: REV + 4, status: "queued" }));
    store.applyProgress({ t: "progress", epoch: 1, patches: [{ id: "a", rev: REV + 5, status: "queued" }] });
    expect(store.get("a")?.status).toBe("running");
  });

  it("drops an events frame it has already seen", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 4, [aTask("a")]));
    expect(store.applyEvents(someEvents(1, 4, { id: "a", rev: REV + 9, status: "completed" }))).toBe("repeated");
    expect(store.get("a")?.status).toBe("queued");
    expect(store.seq).toBe(4);
  });

  it("does not advance over a hole", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 4, [aTask("a")]));
    expect(store.applyEvents(someEvents(1, 6, { id: "a", rev: REV + 2, status: "completed" }))).toBe("hole");
    expect(store.seq).toBe(4);
    expect(store.cursor).toBe("1-4");
    expect(store.get("a")?.status).toBe("queued");
  });

  it("keeps a request to stop, which has no rev of its own, for as long as the attempt lasts", () => {
    const { store } = aStore();
    const running = { status: "running", attempt: 1, started_at: "2026-11-01T10:00:01.000Z" } as const;
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", { ...running, rev: REV + 2 })]));
    store.applyEvents({
      t: "events",
      epoch: 1,
      seq: 2,
      cursor: "1-2",
      events: [{ id: "a", cancel_requested: true }],
    });
    expect(store.get("a")?.status).toBe("cancelling");
    store.applyProgress({ t: "progress", epoch: 1, patches: [aTask("a", { ...running, rev: REV + 3 })] });
    expect(store.get("a")).toMatchObject({ status: "cancelling", rev: REV + 3 });
    store.seed(aTask("a", { ...running, rev: REV + 4 }));
    expect(store.get("a")).toMatchObject({ status: "cancelling", rev: REV + 4 });
    store.applyEvents(someEvents(1, 3, { id: "a", rev: REV + 5, status: "running", attempt: 2 }));
    expect(store.get("a")?.status).toBe("running");
  });

  it("lets a whole record of the same rev mend what patches could not say, and wakes nobody for an equal one", () => {
    const { store, crank } = aStore();
    store.applySnapshot(aSnapshot(1, 1, [aTask("a")]));
    const due = "2026-11-01T10:05:00.000Z";
    store.applyEvents(someEvents(1, 2, { id: "a", rev: REV + 2, status: "retrying", run_at: due, attempt: 1 }));
    expect(store.get("a")?.run_at).toBe(due);
    store.applyEvents(someEvents(1, 3, { id: "a", rev: REV + 3, status: "running", attempt: 2 }));
    expect(store.get("a")?.run_at).toBeNull();
    const record = { ...aTask("a", { rev: REV + 3, status: "running", attempt: 2, timeout_ms: 60_000 }), payload: {} };
    store.seed(record);
    expect(store.get("a")).toEqual(record);
    crank.turn();
    const woken = vi.fn();
    store.subscribe("a", woken);
    store.seed(structuredClone(record));
    store.applyPolled([aTask("a", { rev: REV + 3, status: "running", attempt: 2, timeout_ms: 60_000 })]);
    crank.turn();
    expect(woken).not.toHaveBeenCalled();
  });

  it("believes a record of the same rev that knows of a request to stop", () => {
    const { store } = aStore();
    const running = { status: "running", attempt: 1, started_at: "2026-11-01T10:00:01.000Z" } as const;
    store.seed(aTask("a", running));
    store.seed({ ...aTask("a", { ...running, status: "cancelling" }), payload: { n: 1 } });
    expect(store.get("a")).toMatchObject({ status: "cancelling", payload: { n: 1 } });
    store.seed(aTask("a", running));
    expect(store.get("a")?.status).toBe("cancelling");
  });

  it("lets a late frame not revive a removed task", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", { rev: REV + 3 })]));
    store.applyEvents(someEvents(1, 2, { id: "a", removed: true, rev: REV + 4 }));
    store.applyProgress({ t: "progress", epoch: 1, patches: [aTask("a", { rev: REV + 4 })] });
    store.seed(aTask("a", { rev: REV + 3 }));
    expect(store.get("a")).toBeUndefined();
    expect(store.isGone("a")).toBe(true);
  });

  it("puts a seed into the store, so that its removal shows", () => {
    const { store } = aStore();
    store.seed(aTask("a"));
    expect(store.get("a")?.id).toBe("a");
    store.applySnapshot(aSnapshot(1, 1, []), new Set(["a"]));
    expect(store.get("a")).toBeUndefined();
  });

  it("keeps what the socket said when an older seed arrives after it", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 1, []));
    store.applyEvents(someEvents(1, 2, { id: "late", rev: REV + 7, status: "completed" }));
    store.seed(aTask("late", { rev: REV + 2, status: "running" }));
    expect(store.get("late")?.status).toBe("completed");
  });

  it("replaces everything in a new epoch, whatever the revs say", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 50, [aTask("a", { rev: REV * 9 }), aTask("b")]));
    store.applySnapshot(aSnapshot(2, 3, [aTask("a", { rev: REV, status: "cancelled" })]));
    expect(store.get("a")?.status).toBe("cancelled");
    expect(store.get("b")).toBeUndefined();
    expect(store.seq).toBe(3);
    expect(store.applyEvents(someEvents(1, 51, { id: "a", rev: REV * 10, status: "running" }))).toBe("other_epoch");
  });

  it("forgets all of one user before the next", () => {
    const { store, crank } = aStore();
    store.applySnapshot(aSnapshot(1, 5, [aTask("a")]));
    crank.turn();
    const wake = vi.fn();
    store.subscribe("a", wake);
    store.reset();
    crank.turn();
    expect([...store.all()]).toEqual([]);
    expect(store.cursor).toBeNull();
    expect(wake).toHaveBeenCalledOnce();
  });

  it("keeps a snapshot's silence apart: watched and named when asked is gone, watched later is unsure", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 1, [aTask("asked"), aTask("later"), aTask("unwatched")]));
    store.subscribe("asked", () => {});
    store.subscribe("later", () => {});
    expect(store.applySnapshot(aSnapshot(1, 2, []), new Set(["asked"]))).toEqual(["later"]);
    expect([...store.all()].map((task) => task.id)).toEqual(["later"]);
  });

  it("wakes a task's own subscribers, once per frame however many changes came", () => {
    const { store, crank } = aStore();
    store.applySnapshot(aSnapshot(1, 0, [aTask("a"), aTask("b")]));
    crank.turn();
    const a = vi.fn();
    const b = vi.fn();
    const list = vi.fn();
    store.subscribe("a", a);
    store.subscribe("b", b);
    store.subscribeList(list);
    for (let n = 1; n <= 500; n += 1) {
      const progress = { done: n, total: 500 };
      store.applyProgress({ t: "progress", epoch: 1, patches: [{ id: "a", rev: REV + n, progress }] });
    }
    crank.turn();
    expect(a).toHaveBeenCalledOnce();
    expect(b).not.toHaveBeenCalled();
    expect(list).not.toHaveBeenCalled();
    expect(store.get("a")?.progress?.done).toBe(500);
  });

  it("keeps the identity of a task that did not change", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 1, [aTask("a")]));
    const before = store.get("a");
    store.applySnapshot(aSnapshot(1, 2, [aTask("a")]));
    expect(store.get("a")).toBe(before);
  });

  it("keeps payload and output that only a whole read knows", () => {
    const { store } = aStore();
    store.seed({ ...aTask("a", { status: "running" }), payload: { width: 1 } });
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", { rev: REV + 8, status: "completed", has_output: true })]));
    expect(store.get("a")?.payload).toEqual({ width: 1 });
    store.seed({ ...aTask("a", { rev: REV + 8, status: "completed", has_output: true }), output: { ok: true } });
    expect(store.get("a")?.output).toEqual({ ok: true });
    store.applyEvents(someEvents(1, 2, { id: "a", rev: REV + 9, status: "queued", has_output: false }));
    store.seed({ ...aTask("a", { rev: REV + 10, status: "queued" }) });
    expect(store.get("a")?.output ?? null).toBeNull();
  });

  it("forgets the payload of a task that waits once it may have been edited, so that it is read anew", () => {
    const { store } = aStore();
    const waits = { status: "scheduled", run_at: "2026-11-01T11:00:00.000Z" } as const;
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", waits), aTask("b", waits)]));
    store.seed({ ...aTask("a", waits), payload: { width: 1 } });
    store.seed({ ...aTask("b", waits), payload: { width: 1 } });
    store.applyEvents(someEvents(1, 2, { id: "a", rev: REV + 1, ...waits, tags: ["mended"] }));
    expect(store.get("a")).toMatchObject({ tags: ["mended"], run_at: waits.run_at });
    expect(store.get("a")?.payload).toBeUndefined();
    store.seed({ ...aTask("a", { ...waits, rev: REV + 1, tags: ["mended"] }), payload: { width: 2 } });
    // What a snapshot brings after a gap may hide an edit.
    store.applySnapshot(aSnapshot(1, 3, [aTask("a", { ...waits, rev: REV + 1 }), aTask("b", { rev: REV + 2 })]));
    expect([store.get("a")?.payload, store.get("b")?.payload]).toEqual([{ width: 2 }, undefined]);
  });

  it("forgets the payload of a dead letter that was corrected, and keeps that of one that was only sent back", () => {
    const { store } = aStore();
    const dead = { status: "failed", ended_at: "2026-11-01T11:00:00.000Z" } as const;
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", dead), aTask("b", dead)]));
    store.seed({ ...aTask("a", dead), payload: { width: 1 } });
    store.seed({ ...aTask("b", dead), payload: { width: 1 } });
    const queued = { rev: 2 * REV, status: "queued" } as const;
    store.applyEvents(someEvents(1, 2, { id: "a", ...queued, tags: [] }, { id: "b", ...queued }));
    expect([store.get("a")?.payload, store.get("b")?.payload]).toEqual([undefined, { width: 1 }]);
  });

  it("knows no time for a task that was moved to now", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", { status: "scheduled", run_at: "2026-11-01T11:00:00.000Z" })]));
    store.applyEvents(someEvents(1, 2, { id: "a", rev: 2 * REV, status: "queued" }));
    expect(store.get("a")).toMatchObject({ status: "queued", run_at: null });
  });

  it("shows a running task that was asked to stop as cancelling", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", { status: "running" }), aTask("b", { status: "completed" })]));
    store.applyEvents(someEvents(1, 2, { id: "a", cancel_requested: true }, { id: "b", cancel_requested: true }));
    expect(store.get("a")?.status).toBe("cancelling");
    expect(store.get("b")?.status).toBe("completed");
  });

  it("tells of an end once", () => {
    const { store } = aStore();
    const told = vi.fn();
    store.subscribeEnds(told);
    store.applySnapshot(aSnapshot(1, 1, [aTask("a", { status: "running" }), aTask("old", { status: "completed" })]));
    store.applyEvents(someEvents(1, 2, { id: "a", rev: REV + 1, status: "completed" }));
    store.applyEvents(someEvents(1, 2, { id: "a", rev: REV + 1, status: "completed" }));
    store.applySnapshot(aSnapshot(1, 3, [aTask("a", { rev: REV + 2, status: "completed" })]));
    expect(told).toHaveBeenCalledOnce();
  });

  it("is not impressed by member names of prototypes", () => {
    const { store } = aStore();
    store.applySnapshot(aSnapshot(1, 1, [aTask("a")]));
    store.applyEvents(someEvents(1, 2, JSON.parse('{"id":"a","rev":100000009,"__proto__":{"polluted":true}}')));
    store.applyEvents(someEvents(1, 3, JSON.parse('{"id":"__proto__","rev":100000009,"polluted":true}')));
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(store.get("a")?.rev).toBe(100000009);
  });
});

describe("a tab without animation frames", () => {
  it("is woken by the timer, and only once when frames do run", () => {
    vi.useFakeTimers();
    const never = vi.spyOn(globalThis, "requestAnimationFrame").mockReturnValue(0);
    const hidden = vi.fn();
    soon(hidden);
    vi.advanceTimersByTime(249);
    expect(hidden).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(hidden).toHaveBeenCalledOnce();

    never.mockImplementation((f) => {
      f(0);
      return 0;
    });
    const shown = vi.fn();
    soon(shown);
    vi.advanceTimersByTime(1_000);
    expect(shown).toHaveBeenCalledOnce();
    vi.useRealTimers();
  });
});
