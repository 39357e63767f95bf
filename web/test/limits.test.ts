import { describe, expect, it } from "vitest";
import {
  changedOf,
  limitWords,
  readLimits,
  readTotal,
  type Typed,
  totalWords,
  typedOf,
} from "@/features/queues/limits";

describe("limits on what runs and starts", () => {
  const nothing: Typed = { waiting: "", running: "", tasks: "", per: "1", unit: "minute", burst: "" };
  const none = { waiting_max: null, running_max: null, rate: null };

  it("read as a person would say them", () => {
    expect(limitWords({})).toBe("");
    expect(limitWords({ running_max: 1 })).toBe("1 runs at once");
    const said = (tasks: number, per_ms: number, burst = tasks) => limitWords({ rate: { tasks, per_ms, burst } });
    expect(said(1_000, 1_000)).toBe("1,000 a second");
    expect(said(5, 3_600_000)).toBe("5 an hour");
    expect(said(5, 86_400_000)).toBe("5 a day");
    expect(said(5, 90_000)).toBe("5 in 90 seconds");
    expect(said(5, 1_500, 1)).toBe("5 in 1,500 ms (1 at once)");
    expect(said(5, 1)).toBe("5 in 1 ms");
  });

  it("are the same after they stood in fields, whatever they are", () => {
    for (const per_ms of [1, 999, 1_000, 61_000, 120_000, 7_200_000, 86_400_000]) {
      for (const burst of [1, 5, 1_000_000]) {
        const limits = { waiting_max: 0, running_max: 100_000, rate: { tasks: 5, per_ms, burst } };
        const { limits: read, wrong } = readLimits(typedOf(limits));
        expect([changedOf(read, limits), wrong], `${burst} of 5 in ${per_ms}`).toEqual([{}, {}]);
      }
    }
    expect(typedOf({})).toEqual(nothing);
    expect(readLimits(nothing)).toEqual({ limits: none, wrong: {} });
  });

  it("are sent only where they are otherwise than before, and null takes one back", () => {
    const before = { running_max: 4, rate: { tasks: 5, per_ms: 1_000, burst: 2 } };
    expect(changedOf({ ...none, rate: { tasks: 5, per_ms: 1_000, burst: 2 } }, before)).toEqual({ running_max: null });
    expect(changedOf({ ...none, running_max: 4 }, before)).toEqual({ rate: null });
    // Without one of its own the burst is as many as in the whole time.
    expect(changedOf({ ...none, running_max: 4, rate: { tasks: 5, per_ms: 1_000 } }, before)).toEqual({
      rate: { tasks: 5, per_ms: 1_000 },
    });
  });

  it("say at which field they make no sense", () => {
    const wrong = (over: Partial<Typed>) => Object.keys(readLimits({ ...nothing, ...over }).wrong);
    for (const running of ["0", "100,001", "-1", "some"]) expect(wrong({ running }), running).toEqual(["/running_max"]);
    for (const tasks of ["0", "1,000,001", "1.5"]) expect(wrong({ tasks }), tasks).toEqual(["/rate/tasks"]);
    for (const per of ["", "0", "25"]) expect(wrong({ tasks: "5", per, unit: "hour" }), per).toEqual(["/rate/per_ms"]);
    expect(wrong({ tasks: "5", per: "24", unit: "hour" })).toEqual([]);
    expect(wrong({ tasks: "5", burst: "0" })).toEqual(["/rate/burst"]);
    expect(wrong({ burst: "5" })).toEqual(["/rate/tasks"]);
  });

  it("of everybody together are told with how many run", () => {
    expect(totalWords({})).toBe("");
    expect(totalWords({ running_total_max: 20 })).toBe("");
    expect(totalWords({ running_total_max: 1_000, running_total: 0 })).toBe("0 of 1,000 run");
    expect(totalWords({ running_total_max: 20, running_total: 1 })).toBe("1 of 20 runs");
    expect([readTotal(" "), readTotal("7"), readTotal("0"), readTotal("x")]).toEqual([null, 7, undefined, undefined]);
  });
});
