import type { QueueInfo, QueueSettings, Rate, RateChange, Turns } from "@tasktonic/client";
import { count } from "@/lib/format";
import { RATE_BURST_MAX, RATE_PER_MS_MAX, RATE_TASKS_MAX, RUNNING_MAX_MAX } from "./names";
import { readWaitingMax, readWhole, WAITING_MAX_WRONG } from "./numbers";

/** Units of time that a rate is set in. */
export const UNITS = {
  ms: { ms: 1, one: "ms", many: "ms" },
  second: { ms: 1_000, one: "a second", many: "seconds" },
  minute: { ms: 60_000, one: "a minute", many: "minutes" },
  hour: { ms: 3_600_000, one: "an hour", many: "hours" },
  day: { ms: 86_400_000, one: "a day", many: "days" },
} as const;
export type Unit = keyof typeof UNITS;
export const UNIT_NAMES = Object.keys(UNITS) as Unit[];

/** What may be set of all, or of one person, in a queue. */
export type Limits = Pick<QueueSettings, "waiting_max" | "running_max" | "rate">;
/** A change of them: null is the default again. */
export type LimitsChange = { waiting_max: number | null; running_max: number | null; rate: RateChange | null };
/** The same as it stands in fields. */
export type TypedRate = { tasks: string; per: string; unit: Unit; burst: string };
export type Typed = TypedRate & { waiting: string; running: string };

/** What the fields of a limit are called in errors, as the API calls them. */
export const LIMIT_POINTERS = ["/waiting_max", "/running_max", "/rate/tasks", "/rate/per_ms", "/rate/burst"] as const;

const wrongTo = (max: number) => `A whole number from 1 to ${count(max)}, or nothing.`;
export const RUNNING_MAX_WRONG = wrongTo(RUNNING_MAX_MAX);
export const TOTAL_POINTER = "/running_total_max";
/** The same of the rate of everybody together. */
export const RATE_TOTAL_POINTERS = ["/rate_total/tasks", "/rate_total/per_ms", "/rate_total/burst"] as const;
export const RATE_TASKS_WRONG = wrongTo(RATE_TASKS_MAX);
export const RATE_BURST_WRONG = wrongTo(RATE_BURST_MAX);
export const RATE_PER_WRONG = "A whole number, and no longer than a day.";
export const RATE_TASKS_MISSING = "Say how many, or leave all three empty.";

/** The largest unit that a time is a whole number of. */
function inUnits(ms: number): { n: number; unit: Unit } {
  const unit = UNIT_NAMES.findLast((name) => ms % UNITS[name].ms === 0) ?? "ms";
  return { n: ms / UNITS[unit].ms, unit };
}

/** Limits as they stand in fields; a burst that says nothing of its own is none. */
export function typedOf({ waiting_max, running_max, rate }: Limits): Typed {
  return {
    waiting: waiting_max?.toString() ?? "",
    running: running_max?.toString() ?? "",
    ...typedRateOf(rate),
  };
}

/** A rate as it stands in fields. */
export function typedRateOf(rate: Rate | undefined): TypedRate {
  const per = rate ? inUnits(rate.per_ms) : { n: 1, unit: "minute" as const };
  return {
    tasks: rate?.tasks.toString() ?? "",
    per: per.n.toString(),
    unit: per.unit,
    burst: rate && rate.burst !== rate.tasks ? rate.burst.toString() : "",
  };
}

/** A number from 1 on: null where nothing is typed, undefined where it makes no sense. */
function readUpTo(typed: string, max: number): number | null | undefined {
  if (typed.trim() === "") return null;
  const n = readWhole(typed);
  return n !== undefined && n >= 1 && n <= max ? n : undefined;
}

/** How many tasks of everybody together may run: null where nothing is typed, undefined where it makes no sense. */
export function readTotal(typed: string): number | null | undefined {
  return readUpTo(typed, RUNNING_MAX_MAX);
}

/** `12 of 20 run`, of everybody together; nothing where nothing limits that. */
export function totalWords({
  running_total,
  running_total_max,
}: Pick<QueueInfo, "running_total" | "running_total_max">): string {
  if (running_total_max === undefined) return "";
  const run = running_total === 1 ? "runs" : "run";
  return running_total === undefined ? "" : `${count(running_total)} of ${count(running_total_max)} ${run}`;
}

type Wrong = Record<string, string>;

/** A rate that is typed, as it is sent; what is wrong with it goes under the name of its field. */
export function readRate(
  { tasks, per, unit, burst }: TypedRate,
  wrong: Wrong,
  name: "rate" | "rate_total" = "rate",
): RateChange | null {
  const [some, atOnce] = [readUpTo(tasks, RATE_TASKS_MAX), readUpTo(burst, RATE_BURST_MAX)];
  if (some === null && atOnce === null) return null;
  const long = readUpTo(per, RATE_PER_MS_MAX / UNITS[unit].ms);
  if (some === undefined) wrong[`/${name}/tasks`] = RATE_TASKS_WRONG;
  if (some === null) wrong[`/${name}/tasks`] = RATE_TASKS_MISSING;
  if (long === undefined || long === null) wrong[`/${name}/per_ms`] = RATE_PER_WRONG;
  if (atOnce === undefined) wrong[`/${name}/burst`] = RATE_BURST_WRONG;
  if (!some || !long || atOnce === undefined) return null;
  return { tasks: some, per_ms: long * UNITS[unit].ms, ...(atOnce === null ? {} : { burst: atOnce }) };
}

/** What is typed, as it is sent, and what is wrong with it by field. */
export function readLimits(typed: Typed): { limits: LimitsChange; wrong: Wrong } {
  const wrong: Wrong = {};
  const waiting_max = readWaitingMax(typed.waiting);
  const running_max = readUpTo(typed.running, RUNNING_MAX_MAX);
  if (waiting_max === undefined) wrong["/waiting_max"] = WAITING_MAX_WRONG;
  if (running_max === undefined) wrong["/running_max"] = RUNNING_MAX_WRONG;
  const rate = readRate(typed, wrong);
  return { limits: { waiting_max: waiting_max ?? null, running_max: running_max ?? null, rate }, wrong };
}

/** Whether a rate to be set is the one that is there. */
export const sameRate = (now: RateChange | null, before: Rate | undefined): boolean =>
  now === null || before === undefined
    ? now === null && before === undefined
    : now.tasks === before.tasks && now.per_ms === before.per_ms && (now.burst ?? now.tasks) === before.burst;

/** Only what is otherwise than before, so that nothing that somebody else sets meanwhile is written over. */
export function changedOf(now: LimitsChange, before: Limits): Partial<LimitsChange> {
  return {
    ...(now.waiting_max === (before.waiting_max ?? null) ? {} : { waiting_max: now.waiting_max }),
    ...(now.running_max === (before.running_max ?? null) ? {} : { running_max: now.running_max }),
    ...(sameRate(now.rate, before.rate) ? {} : { rate: now.rate }),
  };
}

/** What was refused, at the fields that there are; all else, and what has no field, under the empty name. */
export function errorsAt(
  { message, fields = {} }: { message: string; fields?: Record<string, string> },
  known: readonly string[],
): Record<string, string> {
  const at = Object.entries(fields).map(([pointer, text]) => [known.includes(pointer) ? pointer : "", text]);
  return at.length > 0 ? Object.fromEntries(at) : { "": message };
}

/** `100 a minute`, `5 in 10 seconds (20 at once)`. */
export function rateWords({ tasks, per_ms, burst }: Rate): string {
  const { n, unit } = inUnits(per_ms);
  const { one, many } = UNITS[unit];
  const per = n === 1 && unit !== "ms" ? one : `in ${count(n)} ${many}`;
  return `${count(tasks)} ${per}${burst === tasks ? "" : ` (${count(burst)} at once)`}`;
}

/** `4 run at once, 100 a minute`, or nothing where nothing is set. */
export function limitWords({ running_max, rate }: Pick<Limits, "running_max" | "rate">): string {
  const runs = running_max === undefined ? "" : `${count(running_max)} ${running_max === 1 ? "runs" : "run"} at once`;
  return [runs, rate ? rateWords(rate) : ""].filter(Boolean).join(", ");
}

/** What people share in a queue: one without words does not compile. */
export const TURNS: Record<Turns, { label: string; says: string }> = {
  count: { label: "turns", says: "Each person in turn starts as many tasks as the others, however long they take." },
  run_time: {
    label: "time of the workers",
    says: "Each person gets as much of the workers' time as the others: who has long tasks starts fewer of them.",
  },
};
