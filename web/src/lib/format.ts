import type { Progress } from "@tasktonic/client";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const count = (n: number): string => whole.format(n);

const middle = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const small = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
/** Below this a number is read more easily with its power of ten. */
const TINY = 1e-6;

/** A number as a person would write it: below 1 four digits that matter, above it two after the point. */
export function number(n: number): string {
  const size = Math.abs(n);
  if (size > 0 && size < TINY) return n.toExponential(3).replace(/\.?0+e/, "e");
  return (size >= 1000 ? whole : size < 1 ? small : middle).format(n);
}

/** How long: `840 ms`, `12 s`, `3 m 04 s`, `2 h 10 m`, `3 d 4 h`. */
export function duration(ms: number): string {
  if (ms < 0 || !Number.isFinite(ms)) return "0 s";
  if (ms < SECOND) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} m ${pad(Math.floor((ms % MINUTE) / SECOND))} s`;
  if (ms < DAY) return `${Math.floor(ms / HOUR)} h ${pad(Math.floor((ms % HOUR) / MINUTE))} m`;
  return `${Math.floor(ms / DAY)} d ${Math.floor((ms % DAY) / HOUR)} h`;
}

/** How long so far: whole seconds, because tenths that jump are noise. */
export const elapsed = (ms: number): string =>
  ms < 10 * SECOND ? `${Math.floor(Math.max(0, ms) / SECOND)} s` : duration(ms);

/** When, seen from `now`: `just now`, `4 min ago`, `in 1 h 59 min`, then the date. */
export function when(at: string, now: number): string {
  const ms = Date.parse(at) - now;
  const away = Math.abs(ms);
  if (away < 5 * SECOND) return ms > SECOND ? "in a moment" : "just now";
  if (away >= 7 * DAY) {
    return new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" }).format(
      new Date(at),
    );
  }
  return ms < 0 ? `${past(away)} ago` : `in ${ahead(away)}`;
}

function past(ms: number): string {
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  return ms < DAY ? `${Math.floor(ms / HOUR)} h` : `${Math.floor(ms / DAY)} d`;
}

/** What lies ahead is waited for, so it is said more closely: to the nearest minute, from 10 h on to the hour. */
function ahead(ms: number): string {
  const seconds = Math.ceil(ms / SECOND);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(ms / MINUTE);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 600) return two(minutes, 60, "h", "min");
  const hours = Math.round(ms / HOUR);
  return hours < 24 ? `${hours} h` : two(hours, 24, "d", "h");
}

const two = (n: number, per: number, large: string, small: string): string =>
  `${Math.floor(n / per)} ${large}${n % per ? ` ${n % per} ${small}` : ""}`;

export function bytes(n: number): string {
  if (n < 1000) return `${n} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let value = n / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/** Between 0 and 1, or undefined while the total is unknown. */
export function fraction(progress: Progress | null): number | undefined {
  if (!progress) return undefined;
  const within =
    progress.total === null || progress.total <= 0
      ? undefined
      : Math.min(1, Math.max(0, progress.done / progress.total));
  if (progress.weight == null) return within;
  // Of a phase that cannot be counted yet, at least the phases before it are done.
  return Math.min(1, Math.max(0, (progress.before ?? 0) + progress.weight * (within ?? 0)));
}

/** Done and total as they are read: bytes in kB and MB, everything else as numbers with their unit. */
export function progressParts(progress: Progress): { done: string; total: string | undefined; unit: string } {
  const inBytes = progress.unit === "bytes";
  const say = inBytes ? bytes : count;
  const known = progress.total !== null && progress.total > 0;
  return {
    done: say(progress.done),
    total: known ? say(progress.total ?? 0) : undefined,
    unit: inBytes ? "" : (progress.unit ?? ""),
  };
}

/** `120 of 400 rows`, `52 MB of 108 MB`. */
export function progressText(progress: Progress | null): string | undefined {
  if (!progress) return undefined;
  const { done, total, unit } = progressParts(progress);
  if (total === undefined) return progress.done > 0 ? `${done} ${unit}`.trim() : undefined;
  return `${done} of ${total} ${unit}`.trim();
}

/** `400 rows`: how much there was, once all of it is done. */
export function total(progress: Progress | null): string | undefined {
  if (!progress) return undefined;
  const { done, total, unit } = progressParts(progress);
  return progress.total || progress.done ? `${total ?? done} ${unit}`.trim() : undefined;
}

const pad = (n: number): string => String(n).padStart(2, "0");
