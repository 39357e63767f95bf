import type { Backoff, Keep, KindInfo, Rule, Task } from "@tasktonic/client";
import type { Errors } from "./draft";

/** What was typed about attempts. Empty means: as the kind has it. */
export type PolicyOptions = {
  form: "" | Backoff["form"];
  waits: string;
  longest: string;
  crashes: string;
  rules: string;
  keepCompleted: string;
  keepCancelled: string;
  keepFailed: string;
};
export const NO_POLICY: PolicyOptions = {
  form: "",
  waits: "",
  longest: "",
  crashes: "",
  rules: "",
  keepCompleted: "",
  keepCancelled: "",
  keepFailed: "",
};

export type PolicySettings = { crashes_max?: number; backoff?: Backoff; rules?: Rule[]; keep?: Keep };

const UNITS: Record<string, number> = {
  ms: 1,
  s: 1_000,
  sec: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000,
};
const HOW = "Write a time like 30 s, 5 min or 1 h 30 min.";

/** The ms of a time as people write it, or undefined. */
export function timeOf(text: string): number | undefined {
  const parts = [...text.trim().matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)\s*/gy)];
  const whole = parts.map(([part]) => part).join("");
  if (parts.length === 0 || whole.length !== text.trim().length) return undefined;
  let ms = 0;
  for (const [, number, unit = ""] of parts) {
    const size = UNITS[unit];
    if (size === undefined) return undefined;
    ms += Number(number) * size;
  }
  return Math.round(ms);
}

function backoffOf(options: PolicyOptions, errors: Errors): Backoff | undefined {
  if (options.form === "") return undefined;
  const waits = options.waits.split(",").filter((wait) => wait.trim() !== "");
  const times = waits.map(timeOf);
  const known = times.filter((time) => time !== undefined);
  const [first] = known;
  if (first === undefined || known.length !== times.length) {
    errors["/backoff"] = HOW;
    return undefined;
  }
  if (options.form === "list") return { form: "list", waits_ms: known };
  if (known.length > 1) {
    errors["/backoff"] = "Write one time, or choose a list of them.";
    return undefined;
  }
  if (options.form === "fixed") return { form: "fixed", wait_ms: first };
  const longest = options.longest.trim() === "" ? undefined : timeOf(options.longest);
  if (options.longest.trim() !== "" && longest === undefined) errors["/backoff/max_ms"] = HOW;
  return { form: "exponential", base_ms: first, ...(longest === undefined ? {} : { max_ms: longest }) };
}

/** One rule a line: `http_4* = bury`, `busy = 30 s`, `odd = again`. */
function rulesOf(text: string, errors: Errors): Rule[] | undefined {
  const rules: Rule[] = [];
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue;
    const at = line.indexOf("=");
    const code = line.slice(0, at).trim();
    const then = line.slice(at + 1).trim();
    const after = timeOf(then);
    if (at < 0 || code === "") errors["/rules"] = "Write one rule a line, like http_4* = bury.";
    else if (then === "bury" || then === "again") rules.push({ code, action: then });
    else if (after !== undefined) rules.push({ code, action: "again_after", after_ms: after });
    else errors["/rules"] = `After ${code}: bury, again, or a time like 30 s.`;
  }
  return rules.length > 0 ? rules : undefined;
}

function keepOf(options: PolicyOptions, errors: Errors): Keep | undefined {
  const keep: Keep = {};
  for (const [typed, name] of [
    [options.keepCompleted, "completed_s"],
    [options.keepCancelled, "cancelled_s"],
    [options.keepFailed, "failed_s"],
  ] as const) {
    if (typed.trim() === "") continue;
    const ms = timeOf(typed);
    if (ms === undefined) errors[`/keep/${name}`] = HOW;
    else keep[name] = Math.round(ms / 1_000);
  }
  return Object.keys(keep).length > 0 ? keep : undefined;
}

/** A length of time as it would be typed: `1 h 30 min`. */
export function spell(ms: number): string {
  const parts: string[] = [];
  let left = ms;
  for (const [unit, size] of [
    ["day", UNITS.d],
    ["h", UNITS.h],
    ["min", UNITS.min],
    ["s", UNITS.s],
    ["ms", UNITS.ms],
  ] as const) {
    if (size === undefined) continue;
    const n = Math.floor(left / size);
    if (n > 0) parts.push(`${n} ${unit}${unit === "day" && n > 1 ? "s" : ""}`);
    left -= n * size;
  }
  return parts.join(" ") || "0 s";
}

/** What holds where neither a kind nor a task says anything. */
const USUAL = {
  backoff: { form: "exponential", base_ms: 2_000, factor: 2, max_ms: 600_000, jitter: 0.2 },
  crashes_max: 3,
  keep: { completed_s: 86_400, cancelled_s: 86_400, failed_s: 1_209_600 },
} as const satisfies { backoff: Backoff; crashes_max: number; keep: Keep };

/** A policy that another task had: as it is typed, and what the text alone does not say, such as a spread. */
export type Carried = { typed: PolicyOptions; backoff?: Backoff; rules?: Rule[] };

/** What an earlier task had other than its kind has it now. */
export function carriedOf({ policy }: Pick<Task, "policy">, kind: KindInfo): Carried {
  const carried: Carried = { typed: NO_POLICY };
  if (!policy) return carried;
  const typed = { ...NO_POLICY };
  const { backoff, rules, crashes_max, keep } = policy;
  if (!alike(whole(backoff), whole(kind.backoff ?? USUAL.backoff))) {
    Object.assign(typed, typedBackoff(backoff));
    carried.backoff = backoff;
  }
  if (!alike(rules, kind.rules ?? [])) {
    typed.rules = rules.map(typedRule).join("\n");
    carried.rules = rules;
  }
  if (crashes_max !== (kind.crashes_max ?? USUAL.crashes_max)) typed.crashes = String(crashes_max);
  for (const [name, option] of [
    ["completed_s", "keepCompleted"],
    ["cancelled_s", "keepCancelled"],
    ["failed_s", "keepFailed"],
  ] as const) {
    const s = keep[name];
    if (s !== undefined && s !== (kind.keep?.[name] ?? USUAL.keep[name])) typed[option] = spell(s * 1_000);
  }
  return { ...carried, typed };
}

const alike = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, inner]) => [name, sorted(inner)]),
  );
}

/** With what a form of wait has unless it is said. */
const whole = (backoff: Backoff): Backoff =>
  backoff.form === "exponential" ? { ...USUAL.backoff, ...backoff } : { jitter: USUAL.backoff.jitter, ...backoff };

function typedBackoff(backoff: Backoff): Pick<PolicyOptions, "form" | "waits" | "longest"> {
  const { form } = backoff;
  switch (form) {
    case "fixed":
      return { form, waits: spell(backoff.wait_ms), longest: "" };
    case "list":
      return { form, waits: backoff.waits_ms.map(spell).join(", "), longest: "" };
    case "exponential": {
      const { base_ms, max_ms } = { ...USUAL.backoff, ...backoff };
      return { form, waits: spell(base_ms), longest: max_ms === USUAL.backoff.max_ms ? "" : spell(max_ms) };
    }
    default:
      return form satisfies never;
  }
}

const typedRule = (rule: Rule): string =>
  `${rule.code} = ${rule.action === "again_after" ? spell(rule.after_ms) : rule.action}`;

/**
 * What was typed as the API takes it; what is wrong with it goes into `errors`. What another task had and nobody has
 * touched is sent as that task had it.
 */
export function policyOf(options: PolicyOptions, errors: Errors, carried?: Carried): PolicySettings {
  const settings: PolicySettings = {};
  if (options.crashes.trim() !== "") {
    const crashes = Number(options.crashes);
    if (Number.isInteger(crashes) && crashes > 0) settings.crashes_max = crashes;
    else errors["/crashes_max"] = "This must be a whole number above zero.";
  }
  const untouched = (...names: (keyof PolicyOptions)[]) =>
    names.every((name) => options[name] === carried?.typed[name]);
  const backoff =
    carried?.backoff && untouched("form", "waits", "longest") ? carried.backoff : backoffOf(options, errors);
  const rules = carried?.rules && untouched("rules") ? carried.rules : rulesOf(options.rules, errors);
  const keep = keepOf(options, errors);
  return { ...settings, ...(backoff ? { backoff } : {}), ...(rules ? { rules } : {}), ...(keep ? { keep } : {}) };
}
