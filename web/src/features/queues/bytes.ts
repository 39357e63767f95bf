import type { BytesHeld } from "@tasktonic/client";
import { bytes as size } from "@/lib/format";

/** Most bytes that can be set: as the API has it. */
export const BYTES_MAX_MAX = 2 ** 50;

/** Bytes of one of each unit, the smallest first. */
export const SIZES = { MB: 1e6, GB: 1e9, TB: 1e12 } as const;
export type Size = keyof typeof SIZES;
export const SIZE_NAMES = Object.keys(SIZES) as Size[];

export const BYTES_WRONG = "A number above 0, up to 1,125 TB; or nothing for no limit.";

/** What is typed: null where that is nothing, undefined where it makes no sense. */
export function readBytes(typed: string, unit: Size): number | null | undefined {
  const text = typed.trim();
  if (text === "") return null;
  if (!/^\d{1,9}(?:\.\d{1,3})?$/.test(text)) return undefined;
  const n = Math.round(Number(text) * SIZES[unit]);
  return n > 0 && n <= BYTES_MAX_MAX ? n : undefined;
}

/** The same as somebody would type it: in the largest unit of which it is at least one. */
export function typedBytes(max: number | null): { typed: string; unit: Size } {
  if (max === null) return { typed: "", unit: "GB" };
  const unit = [...SIZE_NAMES].reverse().find((name) => max >= SIZES[name]) ?? "MB";
  return { typed: String(Number((max / SIZES[unit]).toFixed(3))), unit };
}

/** What tasks hold, in words. */
export const heldWords = ({ bytes, bytes_max }: Pick<BytesHeld, "bytes" | "bytes_max">): string =>
  bytes_max === null ? size(bytes) : `${size(bytes)} of ${size(bytes_max)}`;

/** From this share of what they may hold on, people are told what to do. */
export const NEARLY = 0.9;

/** Whether there is next to no room left. */
export const isNearlyFull = ({ bytes, bytes_max }: Pick<BytesHeld, "bytes" | "bytes_max">): boolean =>
  bytes_max !== null && bytes >= bytes_max * NEARLY;
