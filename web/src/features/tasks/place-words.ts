import type { StartEstimate, TaskPosition } from "@tasktonic/client";
import { count } from "@/lib/format";

const rules = new Intl.PluralRules("en", { type: "ordinal" });
const ENDINGS: Record<string, string> = { one: "st", two: "nd", few: "rd", other: "th" };

const ordinal = (n: number): string => `${count(n)}${ENDINGS[rules.select(n)]}`;

/** `4th of your tasks in this line`, counted from 1. */
export function placeWords({ ahead, users }: Pick<TaskPosition, "ahead" | "users">): string | undefined {
  if (!ahead) return undefined;
  const place = ahead.more
    ? `${count(ahead.most)} or more of your tasks go before it`
    : ahead.most === 0
      ? "Next of your tasks in this line"
      : ahead.least === ahead.most
        ? `${ordinal(ahead.most + 1)} of your tasks in this line`
        : `${ordinal(ahead.least + 1)} to ${ordinal(ahead.most + 1)} of your tasks in this line`;
  if (users === null || users < 1) return `${place}.`;
  return users === 1 ? `${place}; nobody else waits in it.` : `${place}; ${count(users)} people are served in turn.`;
}

/** When it starts, or why that is not known. */
export function startWords(start: StartEstimate): string | undefined {
  switch (start.is) {
    case "range":
      return `Probably starts ${rangeWords(start.from_ms, start.to_ms)}.`;
    case "few_starts":
      return `When it starts is not known yet: fewer than ${start.starts_min} of your tasks in this line started lately.`;
    case "still":
      return `When it starts is not known: none of your tasks in this line has started for ${one(start.for_ms / 1_000, false)}.`;
    case "far_back":
      return "When it starts is not known: it is too far back in the line.";
    case "behind":
      return `Starts after task ${start.task}, which has the same serial key.`;
    case "not_before":
    case "not_queued":
      return undefined;
    default:
      return start satisfies never;
  }
}

/** `in about 20 to 40 s`; the ends are rounded away from each other, so that the range still holds. */
export function rangeWords(fromMs: number, toMs: number): string {
  const from = one(Math.floor(fromMs / 1_000), false);
  const to = one(Math.ceil(toMs / 1_000), true);
  const [low, unit] = from.split(" ");
  if (low === "0") return `within ${to}`;
  if (from === to) return `in about ${to}`;
  return to.endsWith(` ${unit}`) ? `in about ${low} to ${to}` : `in about ${from} to ${to}`;
}

const UNITS = [
  { below: 91, size: 1, name: "s" },
  { below: 5_401, size: 60, name: "min" },
  { below: 172_801, size: 3_600, name: "h" },
  { below: Number.POSITIVE_INFINITY, size: 86_400, name: "d" },
];

/** A time in one unit, rounded up or down: whole ones below 10, then fives. */
function one(seconds: number, up: boolean): string {
  const round = up ? Math.ceil : Math.floor;
  const unit = UNITS.find(({ below }) => seconds < below) ?? { size: 1, name: "s" };
  const whole = round(seconds / unit.size);
  return `${count(whole < 10 ? whole : 5 * round(whole / 5))} ${unit.name}`;
}
