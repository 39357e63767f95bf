import { ApiClient, Live, type QueueDetail } from "@tasktonic/client";
import { TasktonicProvider } from "@tasktonic/react";
import { act, fireEvent, render, screen } from "@testing-library/react";
import axe from "axe-core";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { LimitsForm } from "@/features/queues/limits-form";
import { personWords } from "@/features/queues/people-in";
import { saysOf, turnsWords } from "@/features/queues/words";
import { ClockProvider } from "@/lib/clock";
import { FakeSocket } from "../../sdk/typescript/test/make.ts";

const actions = vi.hoisted(() => ({ setQueue: vi.fn(), setPerson: vi.fn() }));
vi.mock("@/features/queues/actions", () => actions);
vi.mock("next/navigation", () => ({ useRouter: () => ({ push: vi.fn() }), unstable_rethrow: () => {} }));

beforeEach(() => void vi.clearAllMocks());

const detail = (over: Partial<QueueDetail> = {}): QueueDetail => ({
  queue: "mail",
  kinds: [],
  paused: false,
  users_waiting: 0,
  users_held_back: 0,
  users: [],
  ...over,
});

/** The form of a queue, by somebody who may change it. */
function show(queue: QueueDetail, onSaved = vi.fn()) {
  const live = new Live({ api: new ApiClient(), open: FakeSocket.open });
  const shown = render(
    <TasktonicProvider live={live}>
      <ClockProvider now={Date.now()}>
        <LimitsForm queue={queue} changes onSaved={onSaved} />
      </ClockProvider>
    </TasktonicProvider>,
  );
  return { ...shown, onSaved };
}
const choose = (value: string) => fireEvent.change(screen.getByLabelText("People share"), { target: { value } });
const save = () => screen.getByRole("button", { name: "Save" });

describe("what people share in a queue", () => {
  it("is said at the choice, and sent only where it is another than before", async () => {
    const { container, onSaved } = show(detail({ running_max: 4 }));
    expect(screen.getByText(/however long they take/)).toBeTruthy();
    choose("run_time");
    expect(screen.getByText(/who has long tasks starts fewer/)).toBeTruthy();
    const rules = { "color-contrast": { enabled: false }, region: { enabled: false } };
    expect((await axe.run(container, { rules })).violations).toEqual([]);
    actions.setQueue.mockResolvedValueOnce({ ok: true, value: detail({ turns: "run_time" }) });
    await act(async () => fireEvent.click(save()));
    expect(actions.setQueue).toHaveBeenLastCalledWith({ queue: "mail", turns: "run_time" });
    expect(onSaved).toHaveBeenCalledWith(detail({ turns: "run_time" }));
    choose("count");
    expect(save().hasAttribute("disabled")).toBe(true);
  });

  it("goes back to turns", async () => {
    show(detail({ turns: "run_time" }));
    choose("count");
    actions.setQueue.mockResolvedValueOnce({ ok: true, value: detail() });
    await act(async () => fireEvent.click(save()));
    expect(actions.setQueue).toHaveBeenLastCalledWith({ queue: "mail", turns: "count" });
  });

  it("is what a weight is of", () => {
    expect([turnsWords(1), turnsWords(3)]).toEqual(["1 turn in each round", "3 turns in each round"]);
    expect(turnsWords(1, "run_time")).toBe("As much time as the others");
    expect(saysOf("open")).toMatch(/people take turns/);
    expect(saysOf("open", "run_time")).toMatch(/share the time of the workers/);
    expect(saysOf("queue_paused", "run_time")).toBe(saysOf("queue_paused"));
    expect(personWords({ paused: false, weight: 3 }, "run_time")).toBe("3 times the time of others");
    expect(personWords({ paused: false, weight: 1, waiting_max: 1 }, "run_time")).toBe("1 may wait");
  });
});
