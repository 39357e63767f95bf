import type { Backoff, Rule, Task } from "@tasktonic/client";

const UNITS = [
  [86_400_000, "day"],
  [3_600_000, "h"],
  [60_000, "min"],
  [1_000, "s"],
] as const;

/** A length of time as people say it: `500 ms`, `1.5 s`, `10 min`, `14 days`. */
export function length(ms: number): string {
  const unit = UNITS.find(([size]) => ms >= size);
  if (!unit) return `${Math.round(ms)} ms`;
  const n = Math.floor((ms * 10) / unit[0]) / 10;
  return `${n} ${unit[1]}${unit[1] === "day" && n !== 1 ? "s" : ""}`;
}

/** When the next attempt comes, as the end of a sentence: `after 5 s`. */
export function backoffWords(backoff: Backoff): string {
  const spread = backoff.jitter ? `, give or take ${Math.round(backoff.jitter * 100)} %` : "";
  switch (backoff.form) {
    case "fixed":
      return `after ${length(backoff.wait_ms)}${spread}`;
    case "list":
      return `after ${backoff.waits_ms.map(length).join(", then ")}${spread}`;
    case "exponential": {
      const { base_ms = 2_000, factor = 2, max_ms = 600_000 } = backoff;
      return `after ${length(base_ms)}, ${factor} times as long each time, at most ${length(max_ms)}${spread}`;
    }
    default:
      return backoff satisfies never;
  }
}

function ruleWords(rule: Rule): string {
  switch (rule.action) {
    case "bury":
      return "no further attempt";
    case "again_after":
      return `again after ${length(rule.after_ms)}`;
    case "again":
      return rule.backoff ? `again ${backoffWords(rule.backoff)}` : "again, as always";
    default:
      return rule satisfies never;
  }
}

export type PolicyLine = { name: string; text: string; code?: string };

/** How a task is attempted and kept, a line for each thing there is to know. */
export function policyLines(task: Task): PolicyLine[] {
  const { policy, attempts_max, timeout_ms } = task;
  if (!policy) return [];
  const lines: PolicyLine[] = [];
  lines.push(
    attempts_max === 1
      ? { name: "Attempts", text: "One, and no other after it" }
      : { name: "Attempts", text: `Up to ${attempts_max}, the next one ${backoffWords(policy.backoff)}` },
  );
  for (const rule of policy.rules) lines.push({ name: "After", code: rule.code, text: ruleWords(rule) });
  if (attempts_max > 1) {
    const n = policy.crashes_max;
    lines.push({
      name: "Lost workers",
      text: n === 1 ? "No further attempt once its worker is lost" : `No further attempt once it has lost ${n} workers`,
    });
  }
  const soft = policy.soft_timeout_ms;
  if (soft !== null && timeout_ms !== null) {
    lines.push({ name: "Time", text: `Told to stop after ${length(soft)}, cut off after ${length(timeout_ms)}` });
  } else if (soft !== null) {
    lines.push({ name: "Time", text: `Told to stop after ${length(soft)}` });
  } else {
    lines.push({ name: "Time", text: timeout_ms === null ? "No limit" : `At most ${length(timeout_ms)} per attempt` });
  }
  const kept = (s: number | undefined) => length((s ?? 0) * 1_000);
  const { completed_s, cancelled_s, failed_s } = policy.keep;
  lines.push({
    name: "Kept",
    text: `${kept(completed_s)} once completed, ${kept(cancelled_s)} once cancelled, ${kept(failed_s)} once failed`,
  });
  return lines;
}
