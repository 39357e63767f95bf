import { ApiClient, Live, type TaskPosition } from "@tasktonic/client";
import { TasktonicProvider } from "@tasktonic/react";
import { act, render, screen } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { InLine } from "@/features/tasks/detail/in-line";
import { placeWords, rangeWords, startWords } from "@/features/tasks/place-words";
import { aTask, FakeSocket } from "../../sdk/typescript/test/make.ts";

describe("the place in a line, in words", () => {
  it("counts from one and says who else waits", () => {
    const ahead = (least: number, most = least, more = false) => ({ least, most, more });
    expect(placeWords({ ahead: ahead(0), users: 1 })).toBe("Next of your tasks in this line; nobody else waits in it.");
    expect(placeWords({ ahead: ahead(3), users: 12 })).toBe(
      "4th of your tasks in this line; 12 people are served in turn.",
    );
    expect(placeWords({ ahead: ahead(20), users: null })).toBe("21st of your tasks in this line.");
    expect(placeWords({ ahead: ahead(1, 12), users: 2 })).toContain("2nd to 13th of your tasks");
    expect(placeWords({ ahead: ahead(10_000, 10_000, true), users: 2 })).toContain("10,000 or more of your tasks");
    expect(placeWords({ ahead: null, users: null })).toBeUndefined();
  });

  it("says a range in round numbers whose ends only move apart", () => {
    expect(rangeWords(0, 300)).toBe("within 1 s");
    expect(rangeWords(700, 12_300)).toBe("within 15 s");
    expect(rangeWords(3_900, 8_100)).toBe("in about 3 to 9 s");
    expect(rangeWords(17_000, 38_000)).toBe("in about 15 to 40 s");
    expect(rangeWords(50_000, 170_000)).toBe("in about 50 s to 3 min");
    expect(rangeWords(130_000, 700_000)).toBe("in about 2 to 15 min");
    expect(rangeWords(7_300_000, 11_000_000)).toBe("in about 2 to 4 h");
    expect(rangeWords(5_000, 5_000)).toBe("in about 5 s");
  });

  it("says why a time is not known", () => {
    expect(startWords({ is: "few_starts", starts: 3, starts_min: 8 })).toContain("fewer than 8 of your tasks");
    expect(startWords({ is: "still", for_ms: 130_000 })).toContain("for 2 min");
    expect(startWords({ is: "far_back" })).toContain("too far back");
    expect(startWords({ is: "behind", task: "AZ7" })).toBe("Starts after task AZ7, which has the same serial key.");
    expect(startWords({ is: "not_queued" })).toBeUndefined();
  });
});

const anAnswer = (most: number, from_ms: number, to_ms: number): TaskPosition => ({
  id: "AZrS0mXvQ4yKcD1e",
  status: "queued",
  queue: "mail",
  ahead: { least: most, most, more: false },
  users: 3,
  start: { is: "range", from_ms, to_ms, probability: 0.8 },
  at: new Date().toISOString(),
});

describe("the place on a task's page", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const shown = () => [screen.getByTestId("start").textContent, screen.getByTestId("place").textContent?.trim()];
  const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

  function page(answer: () => TaskPosition | undefined, initial?: TaskPosition) {
    const asked = vi.fn();
    const send = async (address: string | URL | Request) => {
      if (!String(address).endsWith("/position")) return new Response("{}", { status: 503 });
      asked();
      const body = answer();
      return new Response(JSON.stringify(body ?? { code: "store_unavailable" }), { status: body ? 200 : 503 });
    };
    const live = new Live({ api: new ApiClient({ fetch: send as typeof fetch }), open: FakeSocket.open });
    const { container } = render(
      <TasktonicProvider live={live}>
        <InLine task={aTask("AZrS0mXvQ4yKcD1e", { status: "queued" })} {...(initial ? { initial } : {})} />
      </TasktonicProvider>,
    );
    return { asked, container };
  }

  it("is there with the page, and follows the line without a gap in between", async () => {
    let answer: TaskPosition | undefined = anAnswer(3, 17_000, 38_000);
    const { asked, container } = page(() => answer, answer);
    expect(shown()).toEqual([
      "Probably starts in about 15 to 40 s.",
      "4th of your tasks in this line; 3 people are served in turn.",
    ]);
    await pass(100);
    expect(asked).toHaveBeenCalledTimes(1);
    answer = anAnswer(1, 3_900, 8_100);
    await pass(3_000);
    expect(shown()[0]).toBe("Probably starts in about 3 to 9 s.");
    // One answer that does not come changes nothing; many do.
    answer = undefined;
    await pass(6_000);
    expect(shown()[0]).toBe("Probably starts in about 3 to 9 s.");
    await pass(20_000);
    expect(shown()[0]).toBe("In line for the next free worker.");
    vi.useRealTimers();
    const { violations } = await axe.run(container, {
      rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
    });
    expect(violations).toEqual([]);
  });

  it("asks nothing while nobody looks, and at once when somebody does", async () => {
    const look = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    const { asked } = page(() => anAnswer(0, 0, 900));
    await pass(30_000);
    expect(asked).not.toHaveBeenCalled();
    look.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    await pass(10);
    expect(shown()[0]).toBe("Probably starts within 1 s.");
  });

  it("is read out now and then, not with every change", async () => {
    let most = 40;
    page(() => anAnswer(most--, 5_000, 9_000));
    await pass(10);
    const spoken = () => screen.getByRole("status").textContent;
    await pass(10);
    const first = spoken();
    expect(first).toContain("41st of your tasks");
    await pass(12_000);
    expect(spoken()).toBe(first);
    await pass(12_000);
    expect(spoken()).not.toBe(first);
  });
});
