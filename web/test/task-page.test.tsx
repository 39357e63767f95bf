import { ApiClient, type Attempt, type Connection, Live, type Task } from "@tasktonic/client";
import { TasktonicProvider } from "@tasktonic/react";
import { act, fireEvent, render, screen, waitFor } from "@testing-library/react";
import type { ReactNode } from "react";
import { describe, expect, it, vi } from "vitest";
import { readProfile } from "@/features/tasks/csv-profile";
import { Facts } from "@/features/tasks/detail/facts";
import { clockTime } from "@/features/tasks/detail/log-view";
import { doneWords, filterWords } from "@/features/tasks/detail/operation";
import { ProfileTable, visible } from "@/features/tasks/detail/profile-table";
import { ProgressPanel } from "@/features/tasks/detail/progress-panel";
import { Timeline } from "@/features/tasks/detail/timeline";
import { useAttempts } from "@/features/tasks/detail/use-attempts";
import { fitsAll, toBulk } from "@/features/tasks/filters";
import { titlesOf } from "@/features/tasks/kinds";
import { SelectionBar } from "@/features/tasks/selection-bar";
import { nameIn } from "@/features/tasks/stored-file";
import { isOwnKey, reasonText } from "@/features/tasks/words";
import { ClockProvider } from "@/lib/clock";
import { aSnapshot, aTask, FakeSocket, REV } from "../../sdk/typescript/test/make.ts";

vi.mock("next/navigation", () => ({ useRouter: () => ({ push: vi.fn() }), unstable_rethrow: () => {} }));

const at = (msAgo: number) => new Date(Date.now() - msAgo).toISOString();
const anAttempt = (number: number, over: Partial<Attempt> = {}): Attempt => ({
  number,
  outcome: "failed",
  worker: "vm-44fb",
  started_at: at(65_000),
  ended_at: at(64_800),
  duration_ms: 200,
  error: { code: "noop_failed", message: "It failed." },
  ...over,
});

function aWorld(connection: Partial<Connection> = {}, attempts: () => Attempt[] = () => []) {
  const send = async (url: string | URL | Request) =>
    new Response(JSON.stringify(String(url).endsWith("/attempts") ? { attempts: attempts() } : {}), {
      headers: { "content-type": "application/json" },
    });
  const live = new Live({ api: new ApiClient({ fetch: send as typeof fetch }), open: FakeSocket.open });
  const line: Connection = { status: "live", wasLive: true, lagMs: undefined, ...connection };
  vi.spyOn(live.socket, "getConnection").mockReturnValue(line);
  const wrapper = ({ children }: { children: ReactNode }) => (
    <TasktonicProvider live={live}>
      <ClockProvider now={Date.now()}>{children}</ClockProvider>
    </TasktonicProvider>
  );
  return { live, wrapper };
}
/** The facts as they are read: name, then value. */
const facts = () =>
  Object.fromEntries(
    [...document.querySelectorAll("dl > div")].map((one) => [
      one.querySelector("dt")?.textContent,
      one.querySelector("dd")?.textContent,
    ]),
  );

describe("a task between two attempts", () => {
  const task = aTask("a", {
    status: "retrying",
    attempt: 7,
    attempts_max: 10,
    created_at: at(66_000),
    run_at: at(-45_000),
  }) as Task;

  it("is not said to have been scheduled when it was submitted", () => {
    render(<Timeline task={task} attempts={[anAttempt(7)]} />, aWorld());
    expect(screen.getByText("Submitted").closest("li")?.textContent).not.toMatch(/start/i);
    expect(screen.getByText("Attempt 8 is due").closest("li")?.textContent).toMatch(/in 4\d s/);
  });

  it("has started, and says how long its last attempt took", () => {
    render(<Facts task={task} attempts={[anAttempt(1), anAttempt(7, { duration_ms: 300 })]} />, aWorld());
    expect(facts()).toMatchObject({ Attempt: "7 of 10", Started: "1 min ago", "Last attempt took": "300 ms" });
  });
});

describe("the facts of a task", () => {
  it("are those of all its attempts once it has ended", () => {
    const task = aTask("a", { status: "failed", attempt: 2, started_at: at(10_000), ended_at: at(9_800) }) as Task;
    const attempts = [anAttempt(1), anAttempt(2, { started_at: task.started_at })];
    render(<Facts task={task} attempts={attempts} />, aWorld());
    expect(facts()).toMatchObject({ Started: "1 min ago", "Took in all": "55 s" });
  });

  it("begin anew where it was sent back to its queue", () => {
    const task = aTask("a", { status: "completed", attempt: 1, started_at: at(2_000), ended_at: at(1_000) }) as Task;
    const again = anAttempt(1, { outcome: "succeeded", started_at: task.started_at, ended_at: task.ended_at });
    render(<Facts task={task} attempts={[anAttempt(1), anAttempt(2), again]} />, aWorld());
    expect(facts()).toMatchObject({ Took: "1.0 s" });
  });

  it("leave out a key that these pages made up, and show another whole", () => {
    const own = `web-${"0a".repeat(16)}`;
    const { rerender } = render(<Facts task={aTask("a", { idempotency_key: own }) as Task} attempts={[]} />, aWorld());
    expect(screen.queryByText("Idempotency key")).toBeNull();
    rerender(<Facts task={aTask("a", { idempotency_key: "order-7" }) as Task} attempts={[]} />);
    expect(facts()).toMatchObject({ "Idempotency key": "order-7" });
    expect(isOwnKey("web-of-lies")).toBe(false);
  });

  it("say of a lost attempt when that was noticed, not how long it took", () => {
    render(<Timeline task={aTask("a") as Task} attempts={[anAttempt(1, { outcome: "lost" })]} />, aWorld());
    expect(facts()).toMatchObject({ "noticed after": "200 ms" });
    expect(facts()).not.toHaveProperty("took");
  });
});

describe("a running task", () => {
  const task = aTask("a", {
    status: "running",
    attempt: 1,
    started_at: at(20_000),
    progress: { done: 5, total: 10, unit: "steps" },
    worker: "vm-44fb",
  }) as Task;

  it("says how long the rest takes while the server is there", () => {
    render(<ProgressPanel task={task} />, aWorld());
    expect(screen.getByText(/^about \d+ s left$/)).toBeTruthy();
  });

  it("says when it was last heard of, and no more, while the server is away", async () => {
    render(
      <>
        <ProgressPanel task={task} />
        <Facts task={task} attempts={[]} />
      </>,
      aWorld({ status: "offline" }),
    );
    expect(await screen.findByText(/^Last heard of/)).toBeTruthy();
    expect(screen.queryByText(/left|about to end/)).toBeNull();
    const before = facts()["Running for"];
    await act(() => new Promise((resolve) => setTimeout(resolve, 2_100)));
    expect(facts()["Running for"]).toBe(before);
  });

  it("has one worker, as it calls itself, from the moment it does", async () => {
    const running = (worker: string) => anAttempt(1, { outcome: "running", ended_at: null, duration_ms: null, worker });
    let served = [running("44fb")];
    const world = aWorld({}, () => served);
    function Page({ task }: { task: Task }) {
      const attempts = useAttempts(task, [running("44fb")]);
      return <p>{attempts.map((one) => one.worker).join()}</p>;
    }
    const { rerender } = render(<Page task={{ ...task, worker: "44fb" }} />, world);
    expect(screen.getByText("44fb")).toBeTruthy();
    rerender(<Page task={task} />);
    expect(screen.getByText("vm-44fb")).toBeTruthy();
    served = [running("vm-44fb")];
    rerender(<Page task={{ ...task, status: "cancelling", worker: "vm-9999" }} />);
    await waitFor(() => expect(screen.getByText("vm-9999")).toBeTruthy());
  });
});

describe("one act", () => {
  it("has one wording, whoever carried it out", () => {
    const said = ["cancelled by user", "cancelled on request"].map((reason) => reasonText({ reason }));
    expect(new Set(said)).toEqual(new Set(["Stopped on request"]));
    expect(reasonText({ reason: "expired" })).toBe("Nobody took it in time");
    expect(reasonText({ reason: null })).toBeUndefined();
  });
});

describe("what is selected", () => {
  it("can be cancelled only if something of it can, and this is followed live", async () => {
    const { live, wrapper } = aWorld();
    const failed = aTask("a", { status: "failed", ended_at: at(0) });
    live.store.applySnapshot(aSnapshot(1, 1, [failed, aTask("b", { status: "running" })]));
    const bar = render(<SelectionBar ids={["a", "b"]} filter={{}} offersAll={false} onClear={() => {}} />, { wrapper });
    const able = (name: string) => !(screen.getByRole("button", { name }) as HTMLButtonElement).disabled;
    expect([able("Cancel"), able("Try again")]).toEqual([true, true]);
    live.store.seed(aTask("b", { status: "completed", rev: REV + 1, ended_at: at(0) }));
    await waitFor(() => expect(able("Cancel")).toBe(false));
    bar.rerender(<SelectionBar ids={["b"]} filter={{}} offersAll={false} onClear={() => {}} />);
    expect(able("Try again")).toBe(false);
  });

  it("is counted in the question by what would be cancelled", async () => {
    const { live, wrapper } = aWorld();
    const ended = ["x", "y"].map((id) => aTask(id, { status: "completed", ended_at: at(0) }));
    live.store.applySnapshot(aSnapshot(1, 1, [...ended, aTask("b")]));
    render(<SelectionBar ids={["x", "y", "b"]} filter={{}} offersAll={false} onClear={() => {}} />, { wrapper });
    fireEvent.click(screen.getByRole("button", { name: "Cancel" }));
    expect((await screen.findByRole("dialog")).textContent).toMatch(/^Cancel 1 task\?.*2 of the selected have ended/);
  });
});

describe("all that match", () => {
  it("can be meant where there is more than what was read, by the verbs that fit the list", async () => {
    const { live, wrapper } = aWorld();
    live.store.applySnapshot(aSnapshot(1, 1, [aTask("a", { status: "failed", ended_at: at(0) })]));
    const bar = (offersAll: boolean) => (
      <SelectionBar ids={["a"]} filter={{ status: ["failed"] }} offersAll={offersAll} onClear={() => {}} />
    );
    const { rerender } = render(bar(false), { wrapper });
    expect(screen.queryByRole("button", { name: "Select all that match" })).toBeNull();
    rerender(bar(true));
    fireEvent.click(screen.getByRole("button", { name: "Select all that match" }));
    expect(screen.getByText("All that match")).toBeTruthy();
    const able = (name: string) => !(screen.getByRole("button", { name }) as HTMLButtonElement).disabled;
    expect(["Try again", "Cancel", "Remove"].map(able)).toEqual([true, false, true]);
  });

  it("are what the list shows, and everything only if it is said", () => {
    expect(toBulk({ status: ["failed"], q: "AZ", tag: "x" })).toEqual({
      status: ["failed"],
      q: "AZ",
      tag: "x",
    });
    expect(toBulk({})).toEqual({ all: true });
    expect([fitsAll("purge", {}), fitsAll("purge", { status: ["failed", "queued"] })]).toEqual([true, false]);
  });
});

describe("words for people", () => {
  it("call a kind by its title, and by its code where it has none", () => {
    const kind = { queue: "q", description: null, schema: {}, attempts_max: 5, timeout_ms: null, served: true };
    const titleOf = titlesOf([
      { ...kind, kind: "images.resize", title: "Resize photos" },
      { ...kind, kind: "x", title: null },
    ]);
    expect([titleOf("images.resize"), titleOf("x"), titleOf("gone")]).toEqual(["Resize photos", "x", "gone"]);
  });

  it.each([
    ['attachment; filename="a.jpg"', "a.jpg"],
    [`attachment; filename="?.jpg"; filename*=UTF-8''%C3%A9%20%3B.jpg`, "é ;.jpg"],
    ['inline; filename="say \\"hi\\".txt"', 'say "hi".txt'],
    ["attachment; filename*=UTF-8''%; filename=\"plain\"", "plain"],
    ["", undefined],
  ])("read a file's name out of %s", (header, name) => {
    expect(nameIn(header)).toBe(name);
  });

  it("tell the time of a line by the clock on the wall", () => {
    expect(clockTime("2026-11-25T23:08:12.345Z", "UTC")).toBe("23:08:12");
    expect(clockTime("2026-11-25T23:08:12.345Z", "Europe/Berlin")).toBe("00:08:12");
  });

  it("show what has no look of its own", () => {
    expect(visible("a\u0000b\u001b\u007f")).toBe("a\u2400b\u241b\u2421");
  });
});

describe("the picture of a column", () => {
  const spread = { min: 0.1, p05: 2.9, p25: 9, median: 20.1, p75: 45.1, p95: 145.1, max: 5_861 };
  const table = (column: object) => {
    const profile = readProfile({ rows: 100, columns: [{ name: "n", type: "number", nulls: 0, ...column }] });
    if (!profile) throw new Error("this is no profile");
    return <ProfileTable profile={profile} />;
  };
  const histogram = [{ from: 0.1, to: 5_861, count: 100 }];

  it("shows where most of a skewed one lies, and has an axis", () => {
    render(table({ ...spread, histogram }));
    expect(screen.getByRole("img").getAttribute("aria-label")).toMatch(/nine tenths from 2.9 to 145.1, half from 9 to/);
    expect(screen.getByText("9 of 10 values")).toBeTruthy();
  });
  it("shows an even one as bars from the smallest to the largest", () => {
    render(table({ ...spread, p95: 4_000, histogram }));
    expect(screen.getByRole("img").getAttribute("aria-label")).toBe("Distribution of n: 0.1 to 5,861, 100");
  });
  it("says it in words where there is nothing to draw", () => {
    const { rerender } = render(table({ ...spread, p05: 0, p95: 0, histogram }));
    expect(screen.getByText("At least 9 of 10 values are 0.")).toBeTruthy();
    rerender(table({ type: "text", distinct: 99 }));
    expect(screen.getByText("Nearly every value is another one.")).toBeTruthy();
  });
});

describe("an operation on many tasks", () => {
  it("says what it is for", () => {
    expect(filterWords({ verb: "retry", filter: {} })).toBe("all failed tasks");
    expect(filterWords({ verb: "purge", filter: { all: true } })).toBe("all tasks it can");
    expect(
      filterWords({
        verb: "cancel",
        filter: { status: ["queued", "running", "scheduled"], kind: "mail", queue: "slow", tag: "x", q: "V 12" },
      }),
    ).toBe("all queued, running or scheduled tasks of the kind mail in the queue slow with the tag x found by V 12");
    expect(filterWords({ verb: "purge", filter: { since: "2026-11-24T10:15:00Z" } })).toBe(
      "all tasks it can made since 24 Nov 2026, 10:15 UTC",
    );
  });

  it("says what has come of it", () => {
    expect(doneWords("retry", { changed: 54, asked: 0, skipped: 0 })).toBe("54 back in line.");
    expect(doneWords("purge", { changed: 0, asked: 0, skipped: 1 })).toBe(
      "There was none to change. 1 had changed meanwhile and was left alone.",
    );
    expect(doneWords("cancel", { changed: 1_200, asked: 2, skipped: 3 })).toBe(
      "1,200 cancelled. Of these, 2 ran and their workers were asked to stop. 3 had changed meanwhile and were left alone.",
    );
  });
});
