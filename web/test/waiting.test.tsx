import { ApiClient, type KindInfo, Live, type Task } from "@tasktonic/client";
import { TasktonicProvider } from "@tasktonic/react";
import { fireEvent, render, screen, waitFor } from "@testing-library/react";
import axe from "axe-core";
import type { ReactNode } from "react";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ClockProvider } from "@/lib/clock";
import { done, refused } from "@/lib/result";
import { aTask, FakeSocket, REV } from "../../sdk/typescript/test/make.ts";

const router = vi.hoisted(() => ({ push: vi.fn() }));
const actions = vi.hoisted(() => ({ editTask: vi.fn(), moveTask: vi.fn(), retryTask: vi.fn() }));
const toast = vi.hoisted(() => Object.assign(vi.fn(), { success: vi.fn(), error: vi.fn(), dismiss: vi.fn() }));
vi.mock("next/navigation", () => ({ useRouter: () => router, unstable_rethrow: () => {} }));
vi.mock("@/features/tasks/actions", () => actions);
vi.mock("sonner", () => ({ toast }));

const { EditTask } = await import("@/features/submit/edit-task");
const { MoreMenu } = await import("@/features/tasks/detail/more-menu");
const { ProgressPanel } = await import("@/features/tasks/detail/progress-panel");
const { TimeDialog, timeAsked } = await import("@/features/tasks/detail/time-dialog");
const { Timeline } = await import("@/features/tasks/detail/timeline");
const { movedWords, useVerbs } = await import("@/features/tasks/verbs");

beforeEach(() => {
  for (const one of [router.push, actions.editTask, actions.moveTask, actions.retryTask, toast.success, toast.error])
    one.mockReset();
});

async function trouble(node: HTMLElement) {
  // Colours are judged in a real browser.
  const { violations } = await axe.run(node, {
    rules: { "color-contrast": { enabled: false }, region: { enabled: false }, "heading-order": { enabled: false } },
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
}

/** A page over an API that knows one task. */
function aWorld(there: () => Task | undefined = () => undefined) {
  const send = async () => {
    const task = there();
    return new Response(JSON.stringify(task ?? { code: "not_found" }), {
      status: task ? 200 : 404,
      headers: { "content-type": "application/json" },
    });
  };
  const live = new Live({ api: new ApiClient({ fetch: send as typeof fetch }), open: FakeSocket.open });
  const wrapper = ({ children }: { children: ReactNode }) => (
    <TasktonicProvider live={live}>
      <ClockProvider now={Date.now()}>{children}</ClockProvider>
    </TasktonicProvider>
  );
  return { live, wrapper };
}
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();

describe("another time", () => {
  const choice = { way: "now", after: "10", unit: "m", at: "2026-12-01T08:30:00" } as const;

  it("is now, after a while, or on a day", () => {
    expect(timeAsked(choice)).toEqual({ delay_ms: 0 });
    expect(timeAsked({ ...choice, way: "in" })).toEqual({ delay_ms: 600_000 });
    expect(timeAsked({ ...choice, way: "at" })).toEqual({ run_at: new Date("2026-12-01T08:30:00").toISOString() });
    expect(timeAsked({ ...choice, way: "in", after: "0" })).toMatch(/above zero/);
    expect(timeAsked({ ...choice, way: "in", after: "soon" })).toMatch(/number/);
    expect(timeAsked({ ...choice, way: "at", at: "" })).toMatch(/day/);
  });

  it("is asked for in a dialog that starts with now, and says what is wrong before anything is sent", async () => {
    const onMove = vi.fn(async () => true);
    const onClose = vi.fn();
    render(<TimeDialog task={{ run_at: null }} onMove={onMove} onClose={onClose} />);
    const dialog = screen.getByRole("dialog", { name: "Start at another time" });
    expect(await trouble(dialog)).toEqual([]);
    fireEvent.click(screen.getByLabelText("After a while"));
    fireEvent.change(screen.getByLabelText("Start after"), { target: { value: "x" } });
    fireEvent.click(screen.getByRole("button", { name: "Set the time" }));
    expect(screen.getByLabelText("Start after").getAttribute("aria-invalid")).toBe("true");
    expect(await trouble(dialog)).toEqual([]);
    expect(onMove).not.toHaveBeenCalled();
    fireEvent.change(screen.getByLabelText("Start after"), { target: { value: "2" } });
    fireEvent.change(screen.getByLabelText("Unit"), { target: { value: "h" } });
    fireEvent.click(screen.getByRole("button", { name: "Set the time" }));
    await waitFor(() => expect(onClose).toHaveBeenCalled());
    expect(onMove).toHaveBeenCalledWith({ delay_ms: 7_200_000 });
  });

  it("is told as it has become", () => {
    const now = Date.parse("2026-11-01T10:00:00Z");
    const scheduled = { status: "scheduled", run_at: "2026-11-01T10:05:00Z" } as const;
    expect(movedWords({ delay_ms: 300_000 }, scheduled, now)).toBe("Starts in 5 min");
    expect(movedWords({ delay_ms: 0 }, { status: "queued", run_at: null }, now)).toBe(
      "Starts as soon as a worker is free",
    );
    expect(movedWords({ place: "front" }, { status: "queued", run_at: null }, now)).toBe("First in your line");
    expect(movedWords({ place: "back" }, { status: "queued", run_at: null }, now)).toBe("Last in your line");
  });
});

describe("a move", () => {
  function Mover({ id }: { id: string }) {
    const { move } = useVerbs();
    return (
      <button type="button" onClick={() => void move(id, { place: "front" })}>
        To the front
      </button>
    );
  }
  const press = () => fireEvent.click(screen.getByRole("button", { name: "To the front" }));

  it("is told, and shows at once", async () => {
    const { live, wrapper } = aWorld();
    live.store.seed(aTask("a", { status: "scheduled" }));
    actions.moveTask.mockResolvedValue(done(aTask("a", { status: "queued", rev: 2 * REV })));
    render(<Mover id="a" />, { wrapper });
    press();
    await waitFor(() => expect(toast.success.mock.lastCall?.[0]).toBe("First in your line"));
    expect(actions.moveTask).toHaveBeenCalledWith({ id: "a", place: "front" });
    expect(live.store.get("a")?.status).toBe("queued");
  });

  it.each([
    ["not_waiting", /A worker has it by now/],
    ["changed_meanwhile", /changed at the same time/],
    ["unreachable", /^No\.$/],
  ])("that is refused (%s) says why, and shows the task as it is", async (code, why) => {
    const { live, wrapper } = aWorld(() => aTask("a", { status: "running", rev: REV + 1 }));
    live.store.seed(aTask("a"));
    actions.moveTask.mockResolvedValue(refused(code, "No."));
    render(<Mover id="a" />, { wrapper });
    press();
    await waitFor(() => expect(live.store.get("a")?.status).toBe("running"));
    expect(toast.error.mock.lastCall?.[0]).toBe("Not moved");
    expect(toast.error.mock.lastCall?.[1].description).toMatch(why);
  });
});

describe("another try", () => {
  function Retrier({ id }: { id: string }) {
    const { tryAgain } = useVerbs();
    return (
      <button type="button" onClick={() => void tryAgain(id)}>
        Try again
      </button>
    );
  }
  const press = () => fireEvent.click(screen.getByRole("button", { name: "Try again" }));

  it("is of the end that was seen, and shows at once", async () => {
    const { live, wrapper } = aWorld();
    live.store.seed(aTask("a", { status: "failed", rev: REV + 3 }));
    actions.retryTask.mockResolvedValue(done(aTask("a", { status: "queued", rev: 2 * REV })));
    render(<Retrier id="a" />, { wrapper });
    press();
    await waitFor(() => expect(toast.success.mock.lastCall?.[0]).toBe("Back in line"));
    expect(actions.retryTask).toHaveBeenCalledWith({ id: "a", rev: REV + 3 });
    expect(live.store.get("a")?.status).toBe("queued");
  });

  it.each([
    ["not_retryable", /sent back by somebody else/],
    ["changed_meanwhile", /changed at the same time/],
    ["unreachable", /^No\.$/],
  ])("that is refused (%s) says why, and shows the task as it is", async (code, why) => {
    const { live, wrapper } = aWorld(() => aTask("a", { status: "running", rev: 2 * REV }));
    live.store.seed(aTask("a", { status: "failed", rev: REV + 3 }));
    actions.retryTask.mockResolvedValue(refused(code, "No."));
    render(<Retrier id="a" />, { wrapper });
    press();
    await waitFor(() => expect(live.store.get("a")?.status).toBe("running"));
    expect(toast.error.mock.lastCall?.[0]).toBe("Not tried again");
    expect(toast.error.mock.lastCall?.[1].description).toMatch(why);
  });
});

describe("the menu of a task", () => {
  const menu = (some: Partial<Record<"move" | "edit" | "mend" | "remove", boolean>>) => {
    const can = { move: false, edit: false, mend: false, remove: false, ...some };
    const nothing = () => {};
    return (
      <MoreMenu
        can={can}
        onTime={nothing}
        onMove={nothing}
        onEdit={nothing}
        onRemove={nothing}
        onLink={nothing}
        onCurl={nothing}
        trigger={<button type="button">More</button>}
      />
    );
  };
  const items = () => screen.getAllByRole("menuitem").map((item) => item.textContent);

  it("has the verbs of a task that waits only while it does", () => {
    const { rerender } = render(menu({ move: true, edit: true }));
    expect(items().slice(0, 4).join()).toMatch(/another time.*front.*back.*Edit/);
    rerender(menu({ move: false, edit: false }));
    expect(items()).toEqual([" Copy the link", " Copy as curl"].map((text) => expect.stringContaining(text.trim())));
  });
});

describe("a task that ends if nobody starts it", () => {
  const task = aTask("a", { expires_at: inMs(240_500) }) as Task;

  it("says until when, in its glance and in its story", () => {
    render(
      <>
        <ProgressPanel task={task} />
        <Timeline task={task} attempts={[]} />
      </>,
      aWorld(),
    );
    expect(screen.getByTestId("place").textContent).toMatch(/It ends in 4 min if nobody has started it by then/);
    expect(screen.getByText("Submitted").closest("li")?.textContent).toMatch(/Ends in 4 min if not started/);
  });

  it("leaves it to the server to say that it is over", () => {
    render(<ProgressPanel task={{ ...task, expires_at: inMs(-1_000) }} />, aWorld());
    expect(screen.getByText(/Its time to be started is over/)).toBeTruthy();
  });

  it("says in plain words that nobody took it", () => {
    const over = { ...task, status: "cancelled", reason: "expired", ended_at: inMs(0), expires_at: null } as Task;
    render(
      <>
        <ProgressPanel task={over} />
        <Timeline task={over} attempts={[]} />
      </>,
      aWorld(),
    );
    expect(screen.getByText(/Nobody took this task in time/)).toBeTruthy();
    expect(screen.getByText("Nobody took it in time")).toBeTruthy();
    expect(screen.queryByText(/expired|on request/)).toBeNull();
  });
});

describe("an edit of a task that waits", () => {
  const kind: KindInfo = {
    kind: "images.resize",
    queue: "q",
    title: "Resize",
    description: null,
    schema: { type: "object", required: ["width"], properties: { width: { type: "integer", title: "Width" } } },
    attempts_max: 5,
    timeout_ms: null,
    served: true,
  };
  const task: Task = { ...aTask("a", { status: "scheduled", tags: ["x"] }), payload: { width: 1 } };
  const width = () => screen.getByLabelText("Width") as HTMLInputElement;
  const type = (value: string) => fireEvent.change(width(), { target: { value } });
  const press = () => fireEvent.click(screen.getByRole("button", { name: "Save" }));

  it("is filled in with what it has, and saved under the rev that was seen", async () => {
    actions.editTask.mockResolvedValue(done({ ...task, rev: REV + 1, payload: { width: 2 } }));
    const { live, wrapper } = aWorld();
    const { container } = render(<EditTask kind={kind} task={task} />, { wrapper });
    expect([width().value, (screen.getByLabelText("Tags") as HTMLInputElement).value]).toEqual(["1", "x"]);
    expect(await trouble(container)).toEqual([]);
    type("2");
    press();
    await waitFor(() => expect(router.push).toHaveBeenCalledWith("/tasks/a"));
    expect(actions.editTask.mock.calls).toEqual([[{ id: "a", payload: { width: 2 }, tags: ["x"], rev: REV }]]);
    expect(live.store.get("a")).toMatchObject({ rev: REV + 1, payload: { width: 2 } });
  });

  it("sends nothing while a field is wrong, and tells the API's word at the field", async () => {
    actions.editTask.mockResolvedValue(refused("payload_invalid", "Mend it.", { "/width": "too wide" }));
    render(<EditTask kind={kind} task={task} />, aWorld());
    type("x");
    press();
    expect(screen.getByText("This is no number.")).toBeTruthy();
    expect(actions.editTask).not.toHaveBeenCalled();
    type("9");
    press();
    expect(await screen.findByText("too wide")).toBeTruthy();
    expect(router.push).not.toHaveBeenCalled();
  });

  it("is saved all the same if the task has only been moved meanwhile", async () => {
    const moved: Task = { ...task, rev: 2 * REV, status: "queued" };
    actions.editTask.mockResolvedValueOnce(refused("changed_meanwhile", "Look again."));
    actions.editTask.mockResolvedValueOnce(done({ ...moved, rev: 2 * REV + 1, payload: { width: 2 } }));
    render(
      <EditTask kind={kind} task={task} />,
      aWorld(() => moved),
    );
    type("2");
    press();
    await waitFor(() => expect(router.push).toHaveBeenCalledWith("/tasks/a"));
    expect(actions.editTask.mock.calls.map(([{ rev }]) => rev)).toEqual([REV, 2 * REV]);
  });

  it("never overwrites another's: it says so, shows that one, and is saved over it only when asked again", async () => {
    const theirs: Task = { ...task, rev: REV + 1, tags: ["theirs"], payload: { width: 7 } };
    actions.editTask.mockResolvedValueOnce(refused("changed_meanwhile", "Look again."));
    const { container } = render(
      <EditTask kind={kind} task={task} />,
      aWorld(() => theirs),
    );
    type("2");
    press();
    expect(await screen.findByText(/was changed while you edited it/)).toBeTruthy();
    expect([width().value, (screen.getByLabelText("Tags") as HTMLInputElement).value]).toEqual(["7", "theirs"]);
    expect(await trouble(container)).toEqual([]);
    expect(actions.editTask).toHaveBeenCalledOnce();
    actions.editTask.mockResolvedValueOnce(done({ ...theirs, rev: REV + 2 }));
    type("3");
    press();
    await waitFor(() => expect(router.push).toHaveBeenCalled());
    expect(actions.editTask.mock.lastCall).toEqual([
      { id: "a", payload: { width: 3 }, tags: ["theirs"], rev: REV + 1 },
    ]);
  });

  it.each([
    ["not_waiting", { status: "running" }],
    ["changed_meanwhile", { status: "completed", rev: REV + 4 }],
  ] as const)("comes too late once a worker took the task (%s)", async (code, now) => {
    actions.editTask.mockResolvedValue(refused(code, "No."));
    render(
      <EditTask kind={kind} task={task} />,
      aWorld(() => ({ ...task, ...now })),
    );
    press();
    await waitFor(() => expect(router.push).toHaveBeenCalledWith("/tasks/a"));
    expect(toast.error.mock.lastCall?.[0]).toBe("Not saved");
    expect(toast.error.mock.lastCall?.[1].description).toMatch(/A worker has it by now/);
  });
});

describe("a dead letter", () => {
  const kind: KindInfo = {
    kind: "mail",
    queue: "mail",
    title: "Mail",
    description: null,
    schema: { type: "object", required: ["to"], properties: { to: { type: "string", title: "To" } } },
    attempts_max: 5,
    timeout_ms: null,
    served: true,
  };
  const task: Task = { ...aTask("a", { status: "failed", ended_at: inMs(-5) }), kind: "mail", payload: { to: "x" } };

  it("is corrected and sent back in one step", async () => {
    actions.retryTask.mockResolvedValue(done({ ...task, status: "queued", rev: REV + 1, payload: { to: "y" } }));
    const { live, wrapper } = aWorld();
    const { container } = render(<EditTask kind={kind} task={task} />, { wrapper });
    expect(await trouble(container)).toEqual([]);
    fireEvent.change(screen.getByLabelText("To"), { target: { value: "y" } });
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(router.push).toHaveBeenCalledWith("/tasks/a"));
    expect(actions.retryTask.mock.calls).toEqual([[{ id: "a", payload: { to: "y" }, tags: [], rev: task.rev }]]);
    expect(live.store.get("a")).toMatchObject({ status: "queued" });
  });

  it.each([
    ["not_retryable", /sent back by somebody else/],
    ["changed_meanwhile", /changed at the same time/],
  ] as const)("that somebody else sent back (%s) is shown as it is", async (code, words) => {
    actions.retryTask.mockResolvedValue(refused(code, "Too late."));
    render(<EditTask kind={kind} task={task} />, aWorld());
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(router.push).toHaveBeenCalledWith("/tasks/a"));
    expect(toast.error.mock.lastCall?.[1].description).toMatch(words);
  });
});
