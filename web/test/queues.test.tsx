import {
  ApiClient,
  Live,
  type OwnQueue,
  type Pause,
  type QueueDetail,
  type Task,
  type Why,
  type WhyReason,
} from "@tasktonic/client";
import { TasktonicProvider } from "@tasktonic/react";
import { act, fireEvent, render, screen } from "@testing-library/react";
import axe from "axe-core";
import type { ReactNode } from "react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LimitsForm } from "@/features/queues/limits-form";
import { readWaitingMax, readWeight } from "@/features/queues/numbers";
import { PauseNotice } from "@/features/queues/pause-notice";
import { PeopleIn, personWords } from "@/features/queues/people-in";
import { QueueList } from "@/features/queues/queue-list";
import { lanesOf, operates, type Queues, readQueues } from "@/features/queues/read";
import { laneWords, peopleWords, stateOf } from "@/features/queues/words";
import { InLine } from "@/features/tasks/detail/in-line";
import { whyWords } from "@/features/tasks/why-words";
import { ClockProvider } from "@/lib/clock";
import { aTask, FakeSocket, REV, someEvents } from "../../sdk/typescript/test/make.ts";

const actions = vi.hoisted(() => ({
  pauseOwn: vi.fn(),
  pausePerson: vi.fn(),
  setQueue: vi.fn(),
  setPerson: vi.fn(),
}));
vi.mock("@/features/queues/actions", () => actions);
vi.mock("next/navigation", () => ({ useRouter: () => ({ push: vi.fn() }), unstable_rethrow: () => {} }));

beforeEach(() => void vi.clearAllMocks());

const ID = "AZrS0mXvQ4yKcD1e";
const NO_PAUSE: Pause = { paused: false, by_user: false, by_operator: false };
const OWN_PAUSE: Pause = { paused: true, by_user: true, by_operator: false };
const aQueue = (over: Partial<OwnQueue> = {}): OwnQueue => ({
  queue: "mail",
  kinds: ["mail.send"],
  served: true,
  paused: false,
  paused_for_you: false,
  weight: 1,
  waiting_max: 500,
  ...over,
});

/** A page over an API whose answers are given by the end of the address. */
function aWorld(answers: Record<string, () => unknown>) {
  const asked: string[] = [];
  const send = async (address: string | URL | Request) => {
    const path = String(address).replace(/^.*\/api\/v1\//, "");
    asked.push(path);
    const answer = Object.entries(answers).find(([end]) => path.split("?")[0]?.endsWith(end))?.[1]();
    return new Response(JSON.stringify(answer ?? { code: "store_unavailable" }), { status: answer ? 200 : 503 });
  };
  const api = new ApiClient({ fetch: send as typeof fetch });
  const live = new Live({ api, open: FakeSocket.open });
  const wrapper = ({ children }: { children: ReactNode }) => (
    <TasktonicProvider live={live}>
      <ClockProvider now={Date.now()}>{children}</ClockProvider>
    </TasktonicProvider>
  );
  return { api, asked, live, wrapper };
}

describe("how a queue is for one person", () => {
  it("is what the engine asks first", () => {
    const both: Pause = { paused: true, by_user: true, by_operator: true };
    const all = aQueue({ paused: true, paused_for_you: true, served: false });
    expect(stateOf(all, both)).toBe("queue_paused");
    expect(stateOf({ ...all, paused: false }, both)).toBe("operator_paused");
    expect(stateOf({ ...all, paused: false }, OWN_PAUSE)).toBe("user_paused");
    expect(stateOf({ ...all, paused: false }, NO_PAUSE)).toBe("user_paused_in_queue");
    expect(stateOf(aQueue({ served: false }), NO_PAUSE)).toBe("no_worker");
    // Whether somebody works on a queue without a kind of its own, nobody says.
    expect(stateOf(aQueue({ served: false, kinds: [] }), NO_PAUSE)).toBe("open");
    expect(stateOf(aQueue(), NO_PAUSE)).toBe("open");
  });

  it("counts what waits for whatever reason, and what runs", () => {
    const lanes = lanesOf(
      (["queued", "scheduled", "retrying", "waiting", "running", "cancelling"] as const).map((status) => ({
        queue: "mail",
        status,
      })),
    );
    expect(lanes.get("mail")).toEqual({ waiting: 4, running: 2 });
    expect(laneWords({ waiting: 4, running: 2 })).toBe("4 waiting, 2 running");
    expect(laneWords({ waiting: 200, running: 0 }, true)).toBe("200+ waiting");
    expect(laneWords({ waiting: 0, running: 0 }, true)).toBeUndefined();
  });

  it("says how many others wait", () => {
    expect(peopleWords({ users_waiting: 0, users_held_back: 0 })).toBe("Nobody waits");
    expect(peopleWords({ users_waiting: 1, users_held_back: 0 })).toBe("1 person waits");
    expect(peopleWords({ users_waiting: 3, users_held_back: 1 })).toBe("4 people wait, 1 held back");
  });

  it("offers to operators alone what the API lets operators do", () => {
    expect(operates({ role: "user", scopes: [] }, "limits:read")).toBe(false);
    expect(operates({ role: "operator", scopes: [] }, "limits:change")).toBe(true);
    expect(operates({ role: "admin", scopes: ["limits:read"] }, "limits:read")).toBe(true);
    expect(operates({ role: "admin", scopes: ["limits:read"] }, "limits:change")).toBe(false);
  });
});

describe("what is typed of a queue", () => {
  it("is a number as people write it, nothing, or wrong", () => {
    expect(readWaitingMax("")).toBeNull();
    expect(readWaitingMax(" 10,000 ")).toBe(10_000);
    expect(readWaitingMax("10 000 000")).toBe(10_000_000);
    expect(readWaitingMax("0")).toBe(0);
    for (const wrong of ["10,000,001", "-1", "1.5", "1,5", "many", "1e3"])
      expect(readWaitingMax(wrong)).toBeUndefined();
    expect(readWeight("1,000")).toBe(1_000);
    for (const wrong of ["", "0", "1001"]) expect(readWeight(wrong)).toBeUndefined();
  });

  it("reads as one line where it is set of a person", () => {
    expect(personWords({ paused: true, weight: 3, waiting_max: 5_000 })).toBe(
      "Paused, 3 turns in each round, 5,000 may wait",
    );
    expect(personWords({ paused: false, weight: 1, waiting_max: 0 })).toBe("0 may wait");
    const rate = { tasks: 100, per_ms: 60_000, burst: 20 };
    expect(personWords({ paused: false, weight: 1, waiting_max: 7, running_max: 4, rate })).toBe(
      "7 may wait, 4 run at once, 100 a minute (20 at once)",
    );
  });
});

describe("the forms of limits", () => {
  const detail = (over: Partial<QueueDetail> = {}): QueueDetail => ({
    queue: "mail",
    kinds: [],
    paused: false,
    users_waiting: 0,
    users_held_back: 0,
    users: [],
    ...over,
  });
  const fill = (label: string | RegExp, value: string) =>
    fireEvent.change(screen.getByLabelText(label), { target: { value } });
  const save = () => act(async () => fireEvent.click(screen.getByRole("button", { name: "Save" })));
  const errorOf = (label: string | RegExp) => {
    const ids = screen.getByLabelText(label).getAttribute("aria-describedby")?.split(" ") ?? [];
    return ids.map((id) => document.getElementById(id)?.textContent).at(-1);
  };
  const noFaults = async (container: Element) => {
    const rules = { "color-contrast": { enabled: false }, region: { enabled: false } };
    expect((await axe.run(container, { rules })).violations).toEqual([]);
  };

  it("send what is changed for everybody, take one back, and show at its field what is refused", async () => {
    const onSaved = vi.fn();
    const queue = detail({ waiting_max: 500, running_max: 4 });
    const { container } = render(<LimitsForm queue={queue} changes onSaved={onSaved} />, aWorld({}));
    expect(screen.getByRole("button", { name: "Save" }).hasAttribute("disabled")).toBe(true);
    fill("Tasks of one person that run at once", "");
    fill("Tasks that start", "1,000");
    fill("In how long", "30");
    fill("Unit of time", "second");
    actions.setQueue.mockResolvedValueOnce({
      ok: false,
      code: "bad_request",
      message: "No.",
      fields: { "/rate/tasks": "Not so many." },
    });
    await save();
    const change = { queue: "mail", running_max: null, rate: { tasks: 1_000, per_ms: 30_000 } };
    expect(actions.setQueue).toHaveBeenLastCalledWith(change);
    expect(errorOf("Tasks that start")).toBe("Not so many.");
    expect(onSaved).not.toHaveBeenCalled();
    await noFaults(container);
    actions.setQueue.mockResolvedValueOnce({ ok: false, code: "forbidden", message: "Ask an operator." });
    await save();
    expect(screen.getByText("Ask an operator.")).toBeTruthy();
    expect(screen.queryByText("Not so many.")).toBeNull();
    actions.setQueue.mockResolvedValueOnce({ ok: true, value: detail() });
    await save();
    expect(onSaved).toHaveBeenCalledWith(detail());
  });

  it("say how many tasks of everybody run, and send only that where only that is changed", async () => {
    const onSaved = vi.fn();
    const queue = detail({ running_max: 4, running_total_max: 20, running_total: 12 });
    const { container } = render(<LimitsForm queue={queue} changes onSaved={onSaved} />, aWorld({}));
    expect(screen.getByText("12 of 20 run now.")).toBeTruthy();
    const label = "Tasks of everybody together that run at once";
    fill(label, "0");
    await save();
    expect(errorOf(label)).toBe("A whole number from 1 to 100,000, or nothing.");
    expect(actions.setQueue).not.toHaveBeenCalled();
    fill(label, "30");
    const refused = { ok: false, code: "bad_request", message: "No.", fields: { "/running_total_max": "Fewer." } };
    actions.setQueue.mockResolvedValueOnce(refused);
    await save();
    expect(actions.setQueue).toHaveBeenLastCalledWith({ queue: "mail", running_total_max: 30 });
    expect(errorOf(label)).toBe("Fewer.");
    await noFaults(container);
    fill(label, "");
    actions.setQueue.mockResolvedValueOnce({ ok: true, value: detail() });
    await save();
    expect(actions.setQueue).toHaveBeenLastCalledWith({ queue: "mail", running_total_max: null });
    expect(onSaved).toHaveBeenCalledWith(detail());
  });

  it("send the rate of everybody together beside that of each, and only what is changed of them", async () => {
    const onSaved = vi.fn();
    const rate = { tasks: 5, per_ms: 1_000, burst: 2 };
    const queue = detail({ rate, rate_total: { tasks: 60, per_ms: 60_000, burst: 10 } });
    const { container } = render(<LimitsForm queue={queue} changes onSaved={onSaved} />, aWorld({}));
    const shows = (label: string) => (screen.getByLabelText(label) as HTMLInputElement).value;
    expect(["Tasks that start together", "Together in how long"].map(shows)).toEqual(["60", "1"]);
    fill("Tasks that start together", "0");
    await save();
    expect(errorOf("Tasks that start together")).toBe("A whole number from 1 to 1,000,000, or nothing.");
    expect(actions.setQueue).not.toHaveBeenCalled();
    fill("Tasks that start together", "90");
    fill("Unit of time of all together", "second");
    const fields = { "/rate_total/burst": "Fewer." };
    actions.setQueue.mockResolvedValueOnce({ ok: false, code: "bad_request", message: "No.", fields });
    await save();
    const rate_total = { tasks: 90, per_ms: 1_000, burst: 10 };
    expect(actions.setQueue).toHaveBeenLastCalledWith({ queue: "mail", rate_total });
    expect(errorOf(/^Together after a rest/)).toBe("Fewer.");
    await noFaults(container);
    for (const label of ["Tasks that start together", /^Together after a rest/]) fill(label, "");
    actions.setQueue.mockResolvedValueOnce({ ok: true, value: detail() });
    await save();
    expect(actions.setQueue).toHaveBeenLastCalledWith({ queue: "mail", rate_total: null });
    expect(onSaved).toHaveBeenCalledWith(detail());
  });

  it("send nothing that makes no sense, and cannot be changed by those who only look", async () => {
    const { rerender } = render(<LimitsForm queue={detail()} changes onSaved={vi.fn()} />, aWorld({}));
    fill("Tasks of one person that run at once", "0");
    await save();
    expect(errorOf("Tasks of one person that run at once")).toBe("A whole number from 1 to 100,000, or nothing.");
    expect(actions.setQueue).not.toHaveBeenCalled();
    rerender(<LimitsForm queue={detail()} changes={false} onSaved={vi.fn()} />);
    expect(screen.queryByRole("button", { name: "Save" })).toBeNull();
    for (const field of [...screen.getAllByRole("textbox"), ...screen.getAllByRole("combobox")]) {
      expect(field.hasAttribute("disabled")).toBe(true);
    }
  });

  it("say what is set of a person, change it, and take all of it back", async () => {
    const rate = { tasks: 5, per_ms: 60_000, burst: 2 };
    const ben = { user: "ben", weight: 1, paused: false, running_max: 2, rate };
    const onChange = vi.fn();
    render(<PeopleIn detail={detail({ users: [ben] })} changes onChange={onChange} />, aWorld({}));
    expect(screen.getByText("2 run at once, 5 a minute (2 at once)")).toBeTruthy();
    const open = () => fireEvent.click(screen.getByRole("button", { name: "Change what is set of ben" }));
    open();
    expect(screen.getByLabelText("Tasks that may wait").getAttribute("placeholder")).toBe("as the queue has it");
    fill("Tasks that run at once", "3");
    fill(/^After a rest/, "");
    actions.setPerson.mockResolvedValueOnce({
      ok: false,
      code: "bad_request",
      message: "No.",
      fields: { "/running_max": "Fewer." },
    });
    await save();
    const now = { paused: false, waiting_max: null, running_max: 3, rate: { tasks: 5, per_ms: 60_000 } };
    expect(actions.setPerson).toHaveBeenLastCalledWith({ queue: "mail", user: "ben", weight: 1, ...now });
    expect(errorOf("Tasks that run at once")).toBe("Fewer.");
    await noFaults(screen.getByRole("dialog"));
    actions.setPerson.mockResolvedValueOnce({ ok: true, value: { user: "ben", weight: 1, paused: false } });
    await act(async () => fireEvent.click(screen.getByRole("button", { name: "As everybody" })));
    const all = { queue: "mail", user: "ben", weight: 1, paused: false };
    expect(actions.setPerson).toHaveBeenLastCalledWith({ ...all, waiting_max: null, running_max: null, rate: null });
    expect(onChange).toHaveBeenCalledOnce();
  });
});

describe("the reading of queues", () => {
  it("asks also about queues that no kind has, and about those of others for operators only", async () => {
    const { api, asked } = aWorld({
      "/queues": () => ({ queues: [aQueue()], pause: NO_PAUSE }),
      "me/bytes": () => ({ bytes: 1, bytes_max: null, own_max: null }),
      tasks: () => ({
        tasks: [aTask("a", { queue: "apart" }), aTask("b", { queue: "apart", status: "running" })],
        next_cursor: null,
      }),
    });
    const { rows, people } = await readQueues(api, false, "mine");
    expect(asked.at(-1)).toBe("me/queues?queue=mine%2Capart");
    expect(asked.filter((path) => path === "queues")).toEqual([]);
    expect([rows[0]?.queue, people]).toEqual(["mail", undefined]);
  });
});

const HELD = { bytes: 1_500_000, bytes_max: null, own_max: null };
const empty: Queues = { rows: [], pause: NO_PAUSE, more: false, held: HELD, limit: undefined, people: undefined };
const someQueues = (over: Partial<Queues> = {}): Queues => ({
  rows: [{ ...aQueue(), lane: { waiting: 2, running: 1 }, all: undefined }],
  pause: NO_PAUSE,
  more: false,
  held: HELD,
  limit: undefined,
  people: undefined,
  ...over,
});

describe("the page of queues", () => {
  const show = (initial: Queues, role = "user") =>
    render(<QueueList user={{ role, scopes: [] }} initial={initial} kinds={[]} />, aWorld({}));

  it("pauses one's own work, says so, and resumes it", async () => {
    show(someQueues());
    actions.pauseOwn.mockResolvedValueOnce({ ok: true, value: OWN_PAUSE });
    await act(async () => fireEvent.click(screen.getByRole("button", { name: "Pause my work" })));
    expect(actions.pauseOwn).toHaveBeenLastCalledWith({ paused: true });
    expect(screen.getByText("You have paused all your work")).toBeTruthy();
    expect(document.querySelector("[data-queue-state]")?.getAttribute("data-queue-state")).toBe("user_paused");
    actions.pauseOwn.mockResolvedValueOnce({ ok: true, value: NO_PAUSE });
    await act(async () => fireEvent.click(screen.getByRole("button", { name: "Resume my work" })));
    expect(screen.queryByText("You have paused all your work")).toBeNull();
    expect(screen.getByRole("button", { name: "Pause my work" })).toBeTruthy();
  });

  it("says how many of one's own may wait, run and start", () => {
    const rate = { tasks: 100, per_ms: 60_000, burst: 100 };
    const row = { ...aQueue({ running_max: 4, rate }), lane: { waiting: 0, running: 0 }, all: undefined };
    const { container } = show(someQueues({ rows: [row] }));
    const text = container.querySelector('[data-queue="mail"]')?.textContent;
    expect(text).toContain("500 waiting");
    expect(text).toContain("4 run at once, 100 a minute");
  });

  it("leaves everything as it is where a pause is refused", async () => {
    show(someQueues());
    actions.pauseOwn.mockResolvedValueOnce({ ok: false, code: "unreachable", message: "Try again." });
    await act(async () => fireEvent.click(screen.getByRole("button", { name: "Pause my work" })));
    expect(screen.queryByText("You have paused all your work")).toBeNull();
  });

  it("asks before a queue is paused for everybody, and not before it goes on", async () => {
    const all = { ...aQueue(), users_waiting: 2, users_held_back: 0 };
    const { container } = show(
      someQueues({ rows: [{ ...aQueue(), lane: { waiting: 0, running: 0 }, all }], people: { paused_users: [] } }),
      "operator",
    );
    const on = screen.getByRole("switch", { name: "mail is on for everybody" });
    fireEvent.click(on);
    expect(actions.setQueue).not.toHaveBeenCalled();
    actions.setQueue.mockResolvedValueOnce({ ok: true, value: { ...all, paused: true, users: [] } });
    await act(async () => fireEvent.click(screen.getByRole("button", { name: "Pause it" })));
    expect(actions.setQueue).toHaveBeenLastCalledWith({ queue: "mail", paused: true });
    expect(on.getAttribute("aria-checked")).toBe("false");
    actions.setQueue.mockResolvedValueOnce({ ok: true, value: { ...all, paused: false, users: [] } });
    await act(async () => fireEvent.click(on));
    expect(actions.setQueue).toHaveBeenLastCalledWith({ queue: "mail", paused: false });
    const { violations } = await axe.run(container, {
      rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
    });
    expect(violations).toEqual([]);
  });

  it("says to everybody what to do where there is no queue, and shows nobody else's settings", () => {
    show(empty);
    expect(screen.getByText(/Ask whoever runs this installation/)).toBeTruthy();
    expect(screen.queryByRole("switch")).toBeNull();
  });
});

describe("the notice of a pause", () => {
  it("offers a resume only to those who can", () => {
    render(<PauseNotice pause={{ paused: true, by_user: false, by_operator: true }} />, aWorld({}));
    expect(screen.getByText("All your work is paused")).toBeTruthy();
    expect(screen.queryByRole("button")).toBeNull();
  });
});

describe("why a task is not running", () => {
  const task = aTask(ID, { status: "queued", queue: "mail", kind: "mail.send" }) as Task;
  const why = (reason: WhyReason, over: Partial<Why> = {}): Why => ({
    reason,
    text: "In the server's words.",
    ...over,
  });

  it("has words and a way on for all that is in its way", () => {
    for (const reason of [
      "serial_key",
      "queue_paused",
      "operator_paused",
      "user_paused",
      "user_paused_in_queue",
      "no_worker",
    ] as const) {
      const words = whyWords(task, why(reason, reason === "serial_key" ? { behind: "first" } : {}));
      expect(words?.title, reason).toBeTruthy();
      expect(words?.cures.length, reason).toBeGreaterThan(0);
      expect(words?.text, reason).not.toBe("In the server's words.");
    }
    for (const reason of ["turn", "scheduled", "waiting", "running", "ended"] as const) {
      expect(whyWords(task, why(reason)), reason).toBeUndefined();
    }
  });

  it("names the label that no worker has, and how one comes that has it", () => {
    const needing = { ...task, queue: "mail+eu+gpu" };
    const words = whyWords(needing, why("no_worker_with_label", { text: "Nobody has `gpu`.", labels: ["gpu"] }));
    expect(words?.text).toMatch(/^Nobody has `gpu`\. It starts by itself/);
    expect(words?.command).toBe("tasktonic work --kinds mail.send --label eu --label gpu");
  });

  it("is calm about limits that do what they are for, and says when it goes on", () => {
    const limit = whyWords(task, why("user_limit" as WhyReason, { running: 4, running_max: 4 } as Partial<Why>));
    expect([limit?.calm, limit?.text]).toEqual([true, "That is 4 in mail. It starts when one of them has ended."]);
    const all = whyWords(task, why("queue_limit" as WhyReason, { running: 19, running_max: 20 } as Partial<Why>));
    expect([all?.calm, all?.text]).toEqual([
      true,
      "That is 20 in mail. It starts when one of them has ended and it is your turn.",
    ]);
    const rate = whyWords(task, why("rate" as WhyReason, { good_in_ms: 1_200 } as Partial<Why>));
    expect([rate?.calm, rate?.text]).toEqual([
      true,
      "Only so many of yours may start in a given time in mail. The next one may start in 1.2 s.",
    ]);
    const together = whyWords(task, why("queue_rate" as WhyReason, { good_in_ms: 1_200 } as Partial<Why>));
    expect([together?.calm, together?.text]).toEqual([
      true,
      "Only so many of everybody may start in a given time in mail. The next one may start in 1.2 s, whoever's turn it is.",
    ]);
  });

  it("leads to the task that goes first", () => {
    const words = whyWords(task, why("serial_key", { behind: "VP7K2u0o8lpJu-5O" }));
    expect([words?.behind, words?.cures, words?.calm]).toEqual(["VP7K2u0o8lpJu-5O", ["task"], true]);
    expect(whyWords(task, why("serial_key"))?.cures).toEqual([]);
  });

  it("takes a reason from a newer server at the server's own word", () => {
    for (const reason of ["moon_is_full", "__proto__", "toString"]) {
      expect(whyWords(task, why(reason as WhyReason))?.text).toBe("In the server's words.");
    }
  });

  describe("on its page", () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());
    const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

    it("is told at once, cured in place, and asked again when the stream stirs, not all the time", async () => {
      let answer = why("user_paused");
      const { asked, live, wrapper } = aWorld({ "/why": () => answer });
      const whys = () => asked.filter((path) => path.endsWith("/why")).length;
      render(<InLine task={task} why={answer} />, { wrapper });
      expect(screen.getByRole("region", { name: "Why is it not running?" }).textContent).toContain(
        "You have paused all your work",
      );
      await pass(10);
      expect(whys()).toBe(1);
      await pass(9_000);
      expect(whys()).toBe(1);

      actions.pauseOwn.mockResolvedValueOnce({ ok: true, value: NO_PAUSE });
      answer = why("turn", { users_waiting: 1 });
      await act(async () => fireEvent.click(screen.getByRole("button", { name: "Resume my work" })));
      await pass(10);
      expect(screen.getByTestId("start").textContent).toBe("In line for the next free worker.");

      // Another task of one's own starts: something has changed, so it is asked again.
      const before = whys();
      answer = why("queue_paused");
      live.store.seed(aTask("another", { status: "queued" }));
      live.store.epoch = 1;
      live.store.applyEvents(someEvents(1, 1, { id: "another", status: "running", rev: REV + 1 }));
      await pass(1_500);
      expect(whys()).toBeGreaterThan(before);
      expect(screen.getByTestId("why").textContent).toBe("Its queue is paused");
      expect(screen.getByRole("link", { name: "Look at its queue" }).getAttribute("href")).toBe("/queues/mail");
    });

    it("leads to the task of the same serial key that comes first", async () => {
      const { wrapper } = aWorld({});
      render(<InLine task={task} why={why("serial_key", { behind: "first" })} />, { wrapper });
      expect(screen.getByTestId("why").textContent).toBe("Another task of the same serial key goes first");
      expect(screen.getByRole("link", { name: "Look at that task" }).getAttribute("href")).toBe("/tasks/first");
    });

    it("stays as it was while the server cannot be asked", async () => {
      const { wrapper } = aWorld({});
      render(<InLine task={task} why={why("no_worker")} />, { wrapper });
      await pass(40_000);
      expect(screen.getByText("tasktonic work --kinds mail.send")).toBeTruthy();
    });
  });
});
