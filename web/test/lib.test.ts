import { describe, expect, it } from "vitest";
import { bytes, duration, elapsed, fraction, number, progressText, when } from "@/lib/format";
import { safeNext } from "@/lib/next-path";

describe("where to go after the sign-in", () => {
  it.each(["/tasks?status=failed&q=x", "/new?kind=images.resize", "/tasks/abc#L4"])("is %s", (path) => {
    expect(safeNext(path)).toBe(path);
  });
  it.each([
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "/tasks\\..",
    "/a\nb",
    "",
    undefined,
    ["/tasks"],
    "/login?next=/login",
    "/api/v1/auth/refresh?next=/tasks",
    `/${"x".repeat(4000)}`,
  ])("is the home page for %j", (path) => {
    expect(safeNext(path)).toBe("/tasks");
  });
});

describe("numbers for people", () => {
  it.each([
    [840, "840 ms"],
    [7_040, "7.0 s"],
    [59_999, "59 s"],
    [61_000, "1 m 01 s"],
    [3_600_000, "1 h 00 m"],
    [90_000_000, "1 d 1 h"],
    [-5, "0 s"],
  ])("a duration of %i ms reads %s", (ms, text) => {
    expect(duration(ms)).toBe(text);
  });
  it("does not show tenths that jump", () => {
    expect(elapsed(7_940)).toBe("7 s");
  });
  it("speaks of time seen from now", () => {
    const now = Date.parse("2026-11-24T10:00:00Z");
    const at = (ms: number) => when(new Date(now + ms).toISOString(), now);
    expect([at(-1_000), at(-61_000), at(-86_400_000 * 40)]).toEqual(["just now", "1 min ago", "Oct 15, 2026"]);
  });
  it.each([
    [2_000, "in a moment"],
    [59_500, "in 1 min"],
    [119_000, "in 2 min"],
    [3_599_000, "in 1 h"],
    [7_199_900, "in 2 h"],
    [7_140_000, "in 1 h 59 min"],
    [13.4 * 3_600_000, "in 13 h"],
    [47 * 3_600_000, "in 1 d 23 h"],
    [86_400_000 * 7 - 1, "in 7 d"],
  ])("does not say that what is due in %i ms is sooner than it is: %s", (ms, text) => {
    const now = Date.parse("2026-11-24T10:00:00Z");
    expect(when(new Date(now + ms).toISOString(), now)).toBe(text);
  });
  it.each([
    [0, "0"],
    [0.1011, "0.1011"],
    [0.0004, "0.0004"],
    [-0.25, "-0.25"],
    [0.000_000_012_34, "1.234e-8"],
    [2.5e-9, "2.5e-9"],
    [41.2385, "41.24"],
    [5861.1942, "5,861"],
  ])("a number such as %d reads %s", (n, text) => {
    expect(number(n)).toBe(text);
  });
  it("knows no part while the total is unknown, and never more than all", () => {
    expect(fraction({ done: 5, total: 0 })).toBeUndefined();
    expect(fraction({ done: 5, total: null })).toBeUndefined();
    expect(fraction({ done: 12, total: 10 })).toBe(1);
    expect(progressText({ done: 1200, total: 4000, unit: "rows" })).toBe("1,200 of 4,000 rows");
    expect(progressText({ done: 7, total: 0, unit: "rows" })).toBe("7 rows");
  });
  it("counts bytes in thousands", () => {
    expect([bytes(999), bytes(1_500), bytes(48_000_000)]).toEqual(["999 B", "1.5 kB", "48 MB"]);
  });
});
