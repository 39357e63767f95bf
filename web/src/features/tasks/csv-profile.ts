import type { Json } from "@tasktonic/client";
import { number } from "@/lib/format";

type Bag = { [key: string]: Json };
export type Bin = { label: string; count: number };
/** Where the numbers of a column lie, from the smallest to the largest. */
export type Spread = { min: number; p5: number; p25: number; median: number; p75: number; p95: number; max: number };
export type ColumnProfile = {
  name: string;
  type: string;
  filled: number | undefined;
  empty: number | undefined;
  distinct: number | undefined;
  /** Whether `distinct` is an estimate. */
  estimated: boolean;
  stats: [string, string | number][];
  /** Undefined where they are not numbers. */
  spread: Spread | undefined;
  bins: Bin[];
  /** Whether the bins are ranges of numbers or the most frequent values. */
  shape: "ranges" | "values";
  /** By how much the counts of frequent values may be too high. */
  slack: number;
  /** What cells are, where they are not all of one type; most first. */
  mixed: [string, number][];
};
export type TableProfile = {
  rows: number | undefined;
  bytes: number | undefined;
  columns: ColumnProfile[];
  /** Columns in the table, of which only some may have been looked at. */
  total: number;
  /** What a reader of the numbers should know. */
  notes: string[];
};

const bag = (value: Json | undefined): Bag | undefined =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? value : undefined;
const num = (...values: (Json | undefined)[]): number | undefined =>
  values.find((value): value is number => typeof value === "number");
const plain = (value: Json | undefined): value is string | number =>
  typeof value === "string" || typeof value === "number";

const STATS: [string, string[]][] = [
  ["min", ["min"]],
  ["p5", ["p05"]],
  ["p25", ["p25"]],
  ["median", ["median", "p50"]],
  ["mean", ["mean", "avg"]],
  ["p75", ["p75"]],
  ["p95", ["p95"]],
  ["max", ["max"]],
  ["deviation", ["stddev", "std", "standard_deviation"]],
  ["shortest", ["min_length", "length_min"]],
  ["longest", ["max_length", "length_max"]],
];

/** Reads the output of a table profile. Undefined if this is none: then it is shown as any other JSON. */
export function readProfile(output: Json | undefined): TableProfile | undefined {
  const root = bag(output);
  if (!root || !Array.isArray(root.columns) || root.columns.length === 0) return undefined;
  const rows = num(root.rows, root.row_count, root.records);
  const columns: ColumnProfile[] = [];
  for (const item of root.columns) {
    const column = bag(item);
    if (!column || typeof column.name !== "string") return undefined;
    const empty = num(column.nulls, column.empty, column.null_count, column.missing);
    const count = num(column.filled, column.non_null, column.count);
    const all = rows ?? (count !== undefined && empty !== undefined ? count + empty : count);
    const ranges = binsOf(column.histogram ?? column.buckets ?? column.bins);
    columns.push({
      name: column.name,
      type: typeof column.type === "string" ? column.type : "",
      filled: all !== undefined && empty !== undefined ? all - empty : count,
      empty,
      distinct: num(column.distinct, column.unique, column.distinct_count, column.distinct_estimate),
      estimated: column.distinct_estimated === true,
      stats: STATS.flatMap(([label, names]) => {
        const value = names.map((name) => column[name]).find(plain);
        return value === undefined ? [] : [[label, value] as [string, string | number]];
      }),
      spread: spreadOf(column),
      bins: ranges.length ? ranges : binsOf(column.top ?? column.top_values ?? column.frequent),
      shape: ranges.length ? "ranges" : "values",
      slack: num(column.top_error_max) ?? 0,
      mixed: Object.entries(bag(column.types) ?? {})
        .flatMap(([type, n]): [string, number][] => (typeof n === "number" ? [[type, n]] : []))
        .sort((a, b) => b[1] - a[1]),
    });
  }
  return {
    rows,
    bytes: num(root.bytes, root.size),
    columns,
    total: num(root.columns_total) ?? columns.length,
    notes: Array.isArray(root.notes) ? root.notes.filter((note) => typeof note === "string") : [],
  };
}

function spreadOf(column: Bag): Spread | undefined {
  const { min, p05, p25, median, p75, p95, max } = column;
  const all = [min, p05, p25, median, p75, p95, max];
  if (!all.every((value): value is number => typeof value === "number")) return undefined;
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0] = all;
  return { min: a, p5: b, p25: c, median: d, p75: e, p95: f, max: g };
}

/** Whether nine tenths of the numbers lie so close together that bars over the whole range show one of them. */
export const isSkewed = ({ min, max, p5, p95 }: Spread): boolean => max > min && p95 - p5 < SKEWED_PART * (max - min);
const SKEWED_PART = 0.15;

function binsOf(value: Json | undefined): Bin[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item, index): Bin[] => {
    if (typeof item === "number") return [{ label: String(index + 1), count: item }];
    if (Array.isArray(item)) {
      const [label, count] = item;
      return plain(label) && typeof count === "number" ? [{ label: String(label), count }] : [];
    }
    const bin = bag(item);
    const count = num(bin?.count, bin?.n);
    if (!bin || count === undefined) return [];
    const from = num(bin.from, bin.lo, bin.low, bin.start, bin.min);
    const to = num(bin.to, bin.hi, bin.high, bin.end, bin.max);
    if (from !== undefined && to !== undefined) return [{ label: `${number(from)} to ${number(to)}`, count }];
    return plain(bin.value) ? [{ label: String(bin.value), count }] : [];
  });
}
