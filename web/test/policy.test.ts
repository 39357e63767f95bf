import type { Task } from "@tasktonic/client";
import { describe, expect, it } from "vitest";
import { NO_OPTIONS, settingsOf } from "@/features/submit/options";
import { NO_POLICY, timeOf } from "@/features/submit/policy";
import { policyLines } from "@/features/tasks/policy-words";
import { fraction } from "@/lib/format";

const policyOf = (part: Partial<typeof NO_POLICY>) => settingsOf({ ...NO_OPTIONS, policy: { ...NO_POLICY, ...part } });

describe("what is typed about attempts", () => {
  it("says nothing while nothing is typed", () => {
    expect(settingsOf(NO_OPTIONS)).toEqual({ settings: {}, errors: {} });
  });

  it.each([
    ["30 s", 30_000],
    ["1h 30min", 5_400_000],
    ["0.5 s", 500],
    ["30 days", 2_592_000_000],
    ["soon", undefined],
    ["5", undefined],
    ["5 s and more", undefined],
  ])("a time: %s", (text, ms) => expect(timeOf(text)).toBe(ms));

  it("becomes a wait of each form", () => {
    expect(policyOf({ form: "fixed", waits: "5 s" }).settings.backoff).toEqual({ form: "fixed", wait_ms: 5_000 });
    expect(policyOf({ form: "list", waits: "1 s, 1 min" }).settings.backoff).toEqual({
      form: "list",
      waits_ms: [1_000, 60_000],
    });
    expect(policyOf({ form: "exponential", waits: "2 s", longest: "1 h" }).settings.backoff).toEqual({
      form: "exponential",
      base_ms: 2_000,
      max_ms: 3_600_000,
    });
    expect(policyOf({ form: "fixed", waits: "1 s, 2 s" }).errors["/backoff"]).toMatch(/one time/);
    expect(policyOf({ form: "list" }).errors["/backoff"]).toMatch(/30 s/);
  });

  it("becomes rules, retention and limits, or says what is wrong", () => {
    const { settings, errors } = policyOf({
      rules: "http_4* = bury\n\nbusy=30 s\nodd = again",
      crashes: "2",
      keepFailed: "30 days",
    });
    expect(errors).toEqual({});
    expect(settings).toEqual({
      crashes_max: 2,
      rules: [
        { code: "http_4*", action: "bury" },
        { code: "busy", action: "again_after", after_ms: 30_000 },
        { code: "odd", action: "again" },
      ],
      keep: { failed_s: 2_592_000 },
    });
    expect(policyOf({ rules: "http_4*" }).errors["/rules"]).toMatch(/one rule a line/);
    expect(policyOf({ rules: "busy = later" }).errors["/rules"]).toMatch(/busy/);
    expect(policyOf({ crashes: "0" }).errors["/crashes_max"]).toMatch(/above zero/);
    const limits = settingsOf({ ...NO_OPTIONS, soft: "5", timeout: "5" });
    expect(limits.errors["/soft_timeout_ms"]).toMatch(/below/);
  });
});

describe("the policy of a task in words", () => {
  const task = (over: Partial<Task>): Task =>
    ({
      attempts_max: 5,
      timeout_ms: null,
      policy: {
        crashes_max: 3,
        backoff: { form: "exponential", base_ms: 2_000, factor: 2, max_ms: 600_000, jitter: 0.2 },
        rules: [],
        soft_timeout_ms: null,
        keep: { completed_s: 86_400, cancelled_s: 86_400, failed_s: 1_209_600 },
      },
      ...over,
    }) as Task;
  const words = (one: Task) =>
    policyLines(one).map(({ name, code, text }) => [name, code, text].filter(Boolean).join(" "));

  it("says what holds where nothing was said", () => {
    expect(words(task({}))).toEqual([
      "Attempts Up to 5, the next one after 2 s, 2 times as long each time, at most 10 min, give or take 20 %",
      "Lost workers No further attempt once it has lost 3 workers",
      "Time No limit",
      "Kept 1 day once completed, 1 day once cancelled, 14 days once failed",
    ]);
  });

  it("says every rule and both limits", () => {
    const { policy } = task({});
    if (!policy) throw new Error("it has one");
    const full = task({
      timeout_ms: 90_000,
      policy: {
        ...policy,
        backoff: { form: "list", waits_ms: [500, 60_000], jitter: 0 },
        rules: [
          { code: "http_4*", action: "bury" },
          { code: "busy", action: "again_after", after_ms: 30_000 },
          { code: "odd", action: "again", backoff: { form: "fixed", wait_ms: 0 } },
        ],
        soft_timeout_ms: 60_000,
      },
    });
    expect(words(full).slice(0, 6)).toEqual([
      "Attempts Up to 5, the next one after 500 ms, then 1 min",
      "After http_4* no further attempt",
      "After busy again after 30 s",
      "After odd again after 0 ms",
      "Lost workers No further attempt once it has lost 3 workers",
      "Time Told to stop after 1 min, cut off after 1.5 min",
    ]);
  });

  it("says nothing before the policy was read", () => {
    const { policy: _, ...rest } = task({});
    expect(policyLines(rest as Task)).toEqual([]);
  });
});

describe("a bar of several phases", () => {
  it("goes on from part to part", () => {
    expect(fraction({ done: 1, total: 4 })).toBe(0.25);
    expect(fraction({ done: 2, total: 2, phase: "fetch", weight: 0.25, before: 0 })).toBe(0.25);
    expect(fraction({ done: 0, total: 0, phase: "resize", weight: 0.75, before: 0.25 })).toBe(0.25);
    expect(fraction({ done: 1, total: 3, phase: "resize", weight: 0.75, before: 0.25 })).toBe(0.5);
    expect(fraction({ done: 0, total: 0 })).toBeUndefined();
  });
});
