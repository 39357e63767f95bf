import { describe, expect, it } from "vitest";
import { nameFor, SCHEDULE_NAME } from "../src/features/schedules/names";
import { timingOf, whenOf } from "../src/features/schedules/when-fields";
import { moment, whenWords } from "../src/features/schedules/words";

describe("when a schedule comes", () => {
  it("is told in the clock of its zone", () => {
    expect(moment("2026-11-24T08:00:00.000Z", "Europe/Berlin")).toMatch(/Tue,? 24 Nov,? 09:00/);
    expect(moment("2026-11-24T08:00:20.000Z", null)).toContain("08:00:20");
    expect(moment("2026-11-24T08:00:00.000Z", "Mars/Base")).toContain("08:00 UTC");
    expect(whenWords({ words: "at 09:00", zone: "Europe/Berlin" })).toBe("at 09:00, Europe/Berlin");
    expect(whenWords({ words: "every 2 hours" })).toBe("every 2 hours");
  });

  it("is sent as an expression in a zone or as an interval, and never as both", () => {
    const when = whenOf(undefined, "Europe/Berlin");
    expect(timingOf({ ...when, cron: " 0 9 * * 1 " })).toEqual({ cron: "0 9 * * 1", zone: "Europe/Berlin" });
    expect(timingOf({ ...when, way: "every", every: "1.5", unit: "h" })).toEqual({ every_ms: 5_400_000 });
    expect(timingOf({ ...when, way: "every", every: "x" })).toEqual({ every_ms: 0 });
    const bounded = timingOf({ ...when, starts: "2026-11-24T08:00" });
    expect(Date.parse(bounded.starts_at ?? "")).toBe(new Date("2026-11-24T08:00").getTime());
  });
});

describe("the name of a schedule", () => {
  it("begins from the kind and is one that the API takes", () => {
    expect(nameFor("images.resize")).toBe("images.resize");
    expect(SCHEDULE_NAME.test(nameFor("images.resize"))).toBe(true);
    expect(SCHEDULE_NAME.test("two words")).toBe(false);
  });
});
