import { ApiClient, Live } from "@tasktonic/client";
import { TasktonicProvider } from "@tasktonic/react";
import { act, fireEvent, render, screen } from "@testing-library/react";
import type { ReactNode } from "react";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { QueueList } from "@/features/queues/queue-list";
import type { Queues } from "@/features/queues/read";
import { ClockProvider } from "@/lib/clock";
import { FakeSocket } from "../../sdk/typescript/test/make.ts";

const actions = vi.hoisted(() => ({ setBytesOf: vi.fn(), setBytesOfAll: vi.fn() }));
vi.mock("@/features/queues/actions", () => actions);
vi.mock("next/navigation", () => ({ useRouter: () => ({ push: vi.fn() }), unstable_rethrow: () => {} }));

beforeEach(() => void vi.clearAllMocks());

const HELD = { bytes: 1_500_000, bytes_max: null, own_max: null };
const someQueues = (over: Partial<Queues> = {}): Queues => ({
  rows: [],
  pause: { paused: false, by_user: false, by_operator: false },
  more: false,
  held: HELD,
  limit: undefined,
  people: undefined,
  ...over,
});

const show = (initial: Queues, role = "user") => {
  const send = async () => new Response("{}", { status: 503 });
  const live = new Live({ api: new ApiClient({ fetch: send as typeof fetch }), open: FakeSocket.open });
  const wrapper = ({ children }: { children: ReactNode }) => (
    <TasktonicProvider live={live}>
      <ClockProvider now={Date.now()}>{children}</ClockProvider>
    </TasktonicProvider>
  );
  return render(<QueueList user={{ role, scopes: [] }} initial={initial} kinds={[]} />, { wrapper });
};

describe("what tasks hold, on the page of queues", () => {
  it("says what one's tasks hold, and what to do when there is hardly room", () => {
    const held = (bytes_max: number | null) => {
      const { container, unmount } = show(someQueues({ held: { ...HELD, bytes_max } }));
      const text = container.querySelector("[data-held]")?.textContent;
      unmount();
      return text;
    };
    expect(held(null)).toBe("Your tasks hold 1.5 MB.");
    expect(held(9_000_000)).toBe("Your tasks hold 1.5 MB of 9.0 MB.");
    expect(held(1_600_000)).toContain("hardly room for more: remove some that have ended");
  });

  it("sets what the tasks of everybody and of one person may hold", async () => {
    show(someQueues({ limit: { bytes_max: null } }), "operator");
    const [amount, theirs] = screen.getAllByRole("textbox", { name: /Of each person|May hold/ });
    const form = screen.getByRole("form", { name: "What the tasks of everybody may hold" });
    fireEvent.change(amount as HTMLElement, { target: { value: "much" } });
    fireEvent.submit(form);
    expect(actions.setBytesOfAll).not.toHaveBeenCalled();
    expect(screen.getByText(/A number above 0/)).toBeTruthy();
    fireEvent.change(amount as HTMLElement, { target: { value: "5" } });
    actions.setBytesOfAll.mockResolvedValueOnce({ ok: true, value: { bytes_max: 5_000_000_000 } });
    await act(async () => fireEvent.submit(form));
    expect(actions.setBytesOfAll).toHaveBeenLastCalledWith({ bytes_max: 5_000_000_000 });
    fireEvent.change(screen.getByRole("textbox", { name: "Of one person" }), { target: { value: " ben " } });
    fireEvent.change(theirs as HTMLElement, { target: { value: "" } });
    actions.setBytesOf.mockResolvedValueOnce({ ok: true, value: HELD });
    await act(async () =>
      fireEvent.submit(screen.getByRole("form", { name: "What the tasks of one person may hold" })),
    );
    expect(actions.setBytesOf).toHaveBeenLastCalledWith({ user: "ben", bytes_max: null });
  });
});
