import { count } from "@/lib/format";
import { WAITING_MAX_MAX, WEIGHT_MAX } from "./names";

export const WAITING_MAX_WRONG = `A whole number from 0 to ${count(WAITING_MAX_MAX)}, or nothing.`;
export const WEIGHT_WRONG = `A whole number from 1 to ${count(WEIGHT_MAX)}.`;

/** A whole number as people type it: `10,000` and `10 000` are ten thousand. */
export function readWhole(typed: string): number | undefined {
  const digits = typed.trim().replace(/(?<=\d)[,\s](?=\d{3}(?:\D|$))/g, "");
  return /^\d{1,9}$/.test(digits) ? Number(digits) : undefined;
}

/** How many may wait: null where nothing is typed, undefined where it makes no sense. */
export function readWaitingMax(typed: string): number | null | undefined {
  if (typed.trim() === "") return null;
  const n = readWhole(typed);
  return n !== undefined && n <= WAITING_MAX_MAX ? n : undefined;
}

/** Turns for one of the others; undefined where it makes no sense. */
export function readWeight(typed: string): number | undefined {
  const n = readWhole(typed);
  return n !== undefined && n >= 1 && n <= WEIGHT_MAX ? n : undefined;
}
