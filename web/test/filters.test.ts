import { describe, expect, it } from "vitest";
import { EVERYTHING, isNarrowed, readQuery, shownCount, toFilter, writeQuery } from "@/features/tasks/filters";

const NOW = Date.parse("2026-11-24T10:00:42.500Z");

describe("the list's address", () => {
  it("comes back as it was written", () => {
    const query = {
      status: "failed",
      kind: "csv.profile",
      queue: "batch.night",
      tag: "a&b",
      q: "x1",
      span: "24h",
    } as const;
    const url = new URLSearchParams(writeQuery(query));
    expect(readQuery(Object.fromEntries(url))).toEqual(query);
    expect(writeQuery(EVERYTHING)).toBe("");
  });

  it("takes what makes no sense for nothing", () => {
    expect(readQuery({ status: "__proto__", time: "toString", q: ["first", "second"] })).toEqual({
      ...EVERYTHING,
      q: "first",
    });
    expect(readQuery({ q: " a  b c d e f g h i" }).q).toBe("a b c d e f g h");
  });

  it("asks the API for the statuses behind a tab, in whole minutes of time", () => {
    const query = { ...EVERYTHING, status: "running", span: "1h" } as const;
    expect(toFilter(query, NOW)).toEqual({
      status: ["running", "cancelling"],
      since: "2026-11-24T09:00:00.000Z",
    });
    expect(toFilter(EVERYTHING, NOW)).toEqual({});
  });

  it("counts a tab as no narrowing", () => {
    expect(isNarrowed({ ...EVERYTHING, status: "failed" })).toBe(false);
    expect(isNarrowed({ ...EVERYTHING, tag: "x" })).toBe(true);
    expect(isNarrowed({ ...EVERYTHING, queue: "x" })).toBe(true);
  });
});

describe("the numbers on the tabs", () => {
  const counts = {
    all: 10_000,
    scheduled: 0,
    waiting: 2,
    queued: 3,
    running: 1,
    completed: 9_990,
    failed: 4,
    cancelled: 0,
    bytes: 1,
  };

  it("are exact however many there are", () => {
    expect(shownCount("all", { ...counts, all: 12_345_678 })).toBe("12,345,678");
    expect(shownCount("queued", counts)).toBe("5");
  });
});
