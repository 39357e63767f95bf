import type { Backoff, KindInfo, Task } from "@tasktonic/client";
import { describe, expect, it } from "vitest";
import { NO_OPTIONS, optionsFrom, settingsOf } from "@/features/submit/options";
import { NO_POLICY, spell, timeOf } from "@/features/submit/policy";
import { spanOf, UNITS } from "@/features/submit/span";
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

describe("a task that is only worth starting soon", () => {
  it("says how long it may wait, which is longer than it has to", () => {
    const soon = { ...NO_OPTIONS, expire: "2", expireUnit: "m" } as const;
    expect(settingsOf(soon)).toEqual({ settings: { expire_after_ms: 120_000 }, errors: {} });
    expect(settingsOf({ ...soon, delay: "1" }).errors).toEqual({});
    expect(settingsOf({ ...soon, delay: "2" }).errors["/expire_after_ms"]).toMatch(/longer/);
    expect(settingsOf({ ...soon, expire: "0" }).errors["/expire_after_ms"]).toMatch(/above zero/);
  });
});

describe("a task that not every worker can do", () => {
  it("names up to three labels, or what is wrong with them", () => {
    const needing = (needs: string) => settingsOf({ ...NO_OPTIONS, needs });
    expect(needing("gpu, eu, gpu")).toEqual({ settings: { needs: ["gpu", "eu"] }, errors: {} });
    expect(needing("a, b, c, d").errors["/needs"]).toMatch(/At most 3/);
    expect(needing("GPU").errors["/needs"]).toMatch(/small letters/);
  });
});

describe("what an earlier task had", () => {
  const kind: KindInfo = {
    kind: "noop",
    queue: "noop",
    title: null,
    description: null,
    schema: {},
    attempts_max: 5,
    timeout_ms: 60_000,
    served: true,
  };
  const usual: Backoff = { form: "exponential", base_ms: 2_000, factor: 2, max_ms: 600_000, jitter: 0.2 };
  const keep = { completed_s: 86_400, cancelled_s: 86_400, failed_s: 1_209_600 };
  const policy = { crashes_max: 3, backoff: usual, rules: [], soft_timeout_ms: null, keep };
  const aTask = (over: Partial<Task>): Task =>
    ({ tags: [], attempts_max: 5, timeout_ms: 60_000, policy, ...over }) as Task;
  const again = (task: Task, of = kind) => settingsOf(optionsFrom(task, of));

  it("is not said again where its kind has it so", () => {
    expect(again(aTask({}))).toEqual({ settings: {}, errors: {} });
    const own: Backoff = { form: "fixed", wait_ms: 1_500 };
    const rules = [{ code: "busy", action: "bury" } as const];
    const declared = { ...kind, backoff: own, rules, crashes_max: 2, keep: { failed_s: 60 } };
    const task = aTask({
      policy: { ...policy, backoff: { ...own, jitter: 0.2 }, rules, crashes_max: 2, keep: { ...keep, failed_s: 60 } },
    });
    expect(again(task, declared)).toEqual({ settings: {}, errors: {} });
    // The same task of a kind that says nothing: all of it is.
    expect(Object.keys(again(task).settings).sort()).toEqual(["backoff", "crashes_max", "keep", "rules"]);
  });

  it("is what its worker had to have, where its kind has it otherwise", () => {
    expect(again(aTask({ needs: ["eu", "gpu"] })).settings).toEqual({ needs: ["eu", "gpu"] });
    expect(again(aTask({ needs: ["gpu"] }), { ...kind, needs: ["gpu"] }).settings).toEqual({});
  });

  it.each([
    { form: "fixed", wait_ms: 1_500, jitter: 0 },
    { form: "list", waits_ms: [0, 90_061_001], jitter: 0.5 },
    { form: "exponential", base_ms: 1, factor: 3, max_ms: 3_600_000, jitter: 0 },
  ] as Backoff[])("goes on to the next with all of it, also what has no field: %j", (backoff) => {
    const rules = [
      { code: "http_4*", action: "bury" } as const,
      { code: "busy", action: "again_after", after_ms: 5_400_000 } as const,
      { code: "odd", action: "again", backoff: { form: "fixed", wait_ms: 7 } } as const,
    ];
    const task = aTask({
      tags: ["a"],
      attempts_max: 2,
      timeout_ms: 90_500,
      policy: { crashes_max: 1, backoff, rules, soft_timeout_ms: 7_200, keep: { ...keep, failed_s: 3_660 } },
    });
    expect(again(task)).toEqual({
      errors: {},
      settings: {
        tags: ["a"],
        attempts_max: 2,
        timeout_ms: 90_500,
        soft_timeout_ms: 7_200,
        crashes_max: 1,
        backoff,
        rules,
        keep: { failed_s: 3_660 },
      },
    });
  });

  it("gives way to what is typed over it", () => {
    const options = optionsFrom(
      aTask({ policy: { ...policy, backoff: { form: "fixed", wait_ms: 5_000, jitter: 0 } } }),
      kind,
    );
    expect(options.policy).toMatchObject({ form: "fixed", waits: "5 s" });
    const typed = { ...options, policy: { ...options.policy, waits: "6 s" } };
    expect(settingsOf(typed).settings.backoff).toEqual({ form: "fixed", wait_ms: 6_000 });
    const usualAgain = { ...options, policy: NO_POLICY };
    expect(settingsOf(usualAgain).settings).toEqual({});
  });

  it("is spelled so that it can be read again", () => {
    for (let n = 0; n < 400; n += 1) {
      const ms = Math.floor(1.06 ** n);
      expect(timeOf(spell(ms))).toBe(ms);
      const { value, unit } = spanOf(ms);
      expect(Math.round(Number(value) * UNITS[unit].ms)).toBe(ms);
    }
    expect([spell(0), spell(5_400_000), spell(86_400_000)]).toEqual(["0 s", "1 h 30 min", "1 day"]);
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
