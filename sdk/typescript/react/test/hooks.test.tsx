import { ApiClient, Live, type TaskFilter } from "@tasktonic/client";
import { act, render, renderHook, screen, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { describe, expect, it, vi } from "vitest";
import { aSnapshot, aTask, FakeSocket, REV, someEvents, WELCOME } from "../../test/make.ts";
import {
  TasktonicProvider,
  useConnection,
  useSubmit,
  useTask,
  useTaskEnds,
  useTaskRow,
  useTasks,
} from "../src/index.ts";

function aWorld(answer: (path: string, init?: RequestInit) => unknown = () => ({})) {
  const asked: string[] = [];
  const send = async (url: string | URL | Request, init?: RequestInit) => {
    asked.push(String(url));
    const body = answer(String(url), init);
    if (body instanceof Response) return body;
    return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
  };
  const live = new Live({ api: new ApiClient({ fetch: send as typeof fetch }), open: FakeSocket.open });
  const wrapper = ({ children }: { children: ReactNode }) => (
    <TasktonicProvider live={live}>{children}</TasktonicProvider>
  );
  return { live, wrapper, asked };
}
/** Lets the store's next animation frame pass. */
const frame = () => act(() => new Promise((resolve) => setTimeout(resolve, 40)));

describe("useTask", () => {
  it("shows the server's render at once and what the socket says after it", async () => {
    const { live, wrapper } = aWorld();
    const initial = aTask("a");
    const { result } = renderHook(() => useTask("a", { initial }), { wrapper });
    expect(result.current.task?.status).toBe("queued");
    live.store.applySnapshot(aSnapshot(1, 1, [aTask("a", { rev: REV + 1, status: "running" })]));
    await frame();
    expect(result.current.task?.status).toBe("running");
    expect(result.current.connection.status).toBe("reconnecting");
  });

  it("shows a removal: the initial value is no fallback", async () => {
    const { live, wrapper } = aWorld();
    const initial = aTask("a");
    const { result, rerender } = renderHook(() => useTask("a", { initial }), { wrapper });
    live.store.applySnapshot(aSnapshot(1, 1, [initial]));
    live.store.applyEvents(someEvents(1, 2, { id: "a", removed: true, rev: REV + 1 }));
    await frame();
    rerender();
    expect(result.current.task).toBeUndefined();
  });

  it("reads the output again once the line is back, if it could not be read before", async () => {
    const done = aTask("a", { rev: REV + 1, status: "completed", has_output: true });
    let up = false;
    const { live, wrapper } = aWorld(() => {
      if (!up) throw new TypeError("no connection");
      return { ...done, payload: {}, output: { ok: true } };
    });
    const { result } = renderHook(() => useTask("a", { initial: done, whole: true }), { wrapper });
    await waitFor(() => expect(result.current.error?.unreachable).toBe(true));
    up = true;
    FakeSocket.last.accept();
    FakeSocket.last.say(WELCOME);
    await waitFor(() => expect(result.current.task?.output).toEqual({ ok: true }));
    expect(result.current.error).toBeUndefined();
    live.stop();
  });

  it("re-renders the row that changed and not its neighbour", async () => {
    const { live, wrapper } = aWorld();
    const renders: Record<string, number> = { a: 0, b: 0 };
    const Row = ({ id }: { id: string }) => {
      const task = useTaskRow(id);
      renders[id] = (renders[id] ?? 0) + 1;
      return <p>{task?.progress?.done}</p>;
    };
    live.store.applySnapshot(aSnapshot(1, 1, [aTask("a"), aTask("b")]));
    render(
      <>
        <Row id="a" />
        <Row id="b" />
      </>,
      { wrapper },
    );
    await frame();
    const before = { ...renders };
    for (let n = 1; n <= 500; n += 1) {
      const progress = { done: n, total: 500 };
      live.store.applyProgress({ t: "progress", epoch: 1, patches: [{ id: "a", rev: REV + n, progress }] });
    }
    await frame();
    expect(screen.getByText("500")).toBeTruthy();
    expect(renders.a).toBe((before.a ?? 0) + 1);
    expect(renders.b).toBe(before.b);
  });

  it("reads the output by itself once the task has one", async () => {
    const whole = {
      ...aTask("a", { rev: REV + 2, status: "completed", has_output: true }),
      payload: 1,
      output: { ok: 1 },
    };
    const { live, wrapper } = aWorld((path) => (path.endsWith("/a") ? whole : {}));
    const initial = { ...aTask("a", { status: "running" }), payload: 1 };
    const { result } = renderHook(() => useTask("a", { initial, whole: true }), { wrapper });
    live.store.applySnapshot(aSnapshot(1, 1, [aTask("a", { rev: REV + 2, status: "completed", has_output: true })]));
    await waitFor(() => expect(result.current.task?.output).toEqual({ ok: 1 }));
  });

  it("says which task it could not find", async () => {
    const gone = () =>
      new Response(JSON.stringify({ code: "not_found", detail: "There is no such task." }), {
        status: 404,
        headers: { "content-type": "application/problem+json" },
      });
    const { wrapper } = aWorld(gone);
    const { result } = renderHook(() => useTask("nope"), { wrapper });
    await waitFor(() => expect(result.current.error?.code).toBe("not_found"));
  });
});

describe("useTasks", () => {
  const older = aTask("old", { created_at: "2026-11-01T09:00:00.000Z", status: "running" });
  const newer = aTask("new", { created_at: "2026-11-01T11:00:00.000Z", status: "running" });
  const first = { tasks: [older], next_cursor: null };
  const filter = { status: ["running" as const] };

  it("lets new rows wait until they are asked in", async () => {
    const { live, wrapper } = aWorld();
    const { result } = renderHook(() => useTasks(filter, { initial: first }), { wrapper });
    live.store.applySnapshot(aSnapshot(1, 1, [older]), new Set());
    live.store.applyEvents(someEvents(1, 2, newer, aTask("other", { status: "queued" })));
    await frame();
    expect(result.current.ids).toEqual(["old"]);
    expect(result.current.fresh).toBe(1);
    act(() => result.current.refresh());
    expect(result.current.ids).toEqual(["new", "old"]);
    expect(result.current.fresh).toBe(0);
  });

  it("keeps a row that no longer matches where it is, until it is swept", async () => {
    const { live, wrapper } = aWorld();
    const { result } = renderHook(() => useTasks(filter, { initial: first }), { wrapper });
    live.store.applySnapshot(aSnapshot(1, 1, [older]));
    live.store.applyEvents(someEvents(1, 2, { id: "old", rev: REV + 1, status: "completed" }));
    await frame();
    expect(result.current.ids).toEqual(["old"]);
    expect(result.current.left).toEqual(["old"]);
    act(() => result.current.sweep());
    expect(result.current.ids).toEqual([]);
  });

  it("does not ask in old tasks that only belong to a later page", async () => {
    const { live, wrapper } = aWorld();
    const paged = { tasks: [newer], next_cursor: "c" };
    const { result } = renderHook(() => useTasks(filter, { initial: paged }), { wrapper });
    live.store.applySnapshot(aSnapshot(1, 1, [newer, older]));
    await frame();
    expect(result.current.fresh).toBe(0);
  });

  it("adds the next page without repeating a row", async () => {
    const page = { tasks: [newer, older], next_cursor: null };
    const { wrapper, asked } = aWorld((path) => (path.includes("cursor=c") ? page : {}));
    const paged = { tasks: [newer], next_cursor: "c" };
    const { result } = renderHook(() => useTasks(filter, { initial: paged }), { wrapper });
    await act(() => result.current.loadMore());
    expect(result.current.ids).toEqual(["new", "old"]);
    expect(result.current.hasMore).toBe(false);
    expect(asked.at(-1)).toContain("status=running");
  });

  it("is another list when the filter is another", () => {
    const { wrapper } = aWorld();
    const other = { tasks: [aTask("done", { status: "completed" })], next_cursor: null };
    const { result, rerender } = renderHook(
      ({ f, i }: { f: TaskFilter; i: typeof first }) => useTasks(f, { initial: i }),
      {
        wrapper,
        initialProps: { f: filter as TaskFilter, i: first },
      },
    );
    rerender({ f: { status: ["completed"] }, i: other });
    expect(result.current.ids).toEqual(["done"]);
  });
});

describe("useSubmit", () => {
  it("keeps its idempotency key over a broken connection and lets go of it after success", async () => {
    const keys: string[] = [];
    let broken = true;
    const { wrapper } = aWorld((_, init) => {
      keys.push(JSON.parse(String(init?.body)).idempotency_key);
      if (broken) throw new TypeError("network");
      return aTask("made");
    });
    const { result } = renderHook(() => useSubmit("images.resize"), { wrapper });
    await act(() => result.current.submit({ width: 1 }));
    expect(result.current.error?.unreachable).toBe(true);
    broken = false;
    await act(() => result.current.submit({ width: 1 }));
    expect(result.current.task?.id).toBe("made");
    await act(() => result.current.submit({ width: 1 }));
    expect(keys[1]).toBe(keys[0]);
    expect(keys[2]).not.toBe(keys[0]);
  });
});

describe("the provider", () => {
  it("gives another user another store", () => {
    const stores: unknown[] = [];
    const Look = () => {
      stores.push(useTaskRow("a")?.id);
      return <p>{useConnection().status}</p>;
    };
    const world = (user: string) => {
      const { live } = aWorld();
      if (user === "ana") live.store.seed(aTask("a"));
      return (
        <TasktonicProvider key={user} live={live}>
          <Look />
        </TasktonicProvider>
      );
    };
    const view = render(world("ana"));
    expect(stores.at(-1)).toBe("a");
    view.rerender(world("ben"));
    expect(stores.at(-1)).toBeUndefined();
  });

  it("tells once when a task ends", async () => {
    const { live, wrapper } = aWorld();
    const ended = vi.fn();
    renderHook(() => useTaskEnds(ended), { wrapper });
    live.store.applySnapshot(aSnapshot(1, 1, [aTask("a", { status: "running" })]));
    live.store.applyEvents(someEvents(1, 2, { id: "a", rev: REV + 1, status: "failed" }));
    live.store.applyEvents(someEvents(1, 3, { id: "a", rev: REV + 2, status: "failed" }));
    expect(ended).toHaveBeenCalledOnce();
  });

  it("explains itself when it is missing", () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    expect(() => renderHook(() => useTaskRow("a"))).toThrow(/TasktonicProvider/);
  });
});
