// A table of more than 100 MB grown from real rows, and what is exactly in it.
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync, writeSync } from "node:fs";
import os from "node:os";
import path from "node:path";

/** Bird strikes reported to the FAA, from the package vega-datasets: texts, dates, numbers, gaps. */
const SOURCE = path.resolve(import.meta.dirname, "../../../node_modules/vega-datasets/data/birdstrikes.csv");
const REPEATS = 80;
export const BYTES_MIN = 100_000_000;

/** The same everywhere: the rows of the source over and over, each with a number and a reading of its own. */
export function grownTable() {
  const text = readFileSync(SOURCE, "utf8");
  const [header, ...rows] = parse(text);
  const lines = rows.map((row) => row.map(quoted).join(","));
  const file = path.join(os.tmpdir(), `tasktonic-e2e-birdstrikes-${REPEATS}.csv`);
  const readings = new Float64Array(rows.length * REPEATS);
  const random = mulberry(20_261_125);
  for (let n = 0; n < readings.length; n += 1) readings[n] = Math.round(normal(random) * 5_000 + 20_000) / 100;
  if (!existsSync(file) || statSync(file).size < BYTES_MIN) write(file, header, lines, readings);
  return { file, bytes: statSync(file).size, rows: readings.length, exact: exactly(header, rows, readings) };
}

function write(file, header, lines, readings) {
  const half = `${file}.${process.pid}`;
  const out = openSync(half, "w");
  writeSync(out, `row,reading,${header.map(quoted).join(",")}\n`);
  for (let n = 0; n < readings.length; n += lines.length) {
    writeSync(out, lines.map((line, at) => `${n + at + 1},${readings[n + at].toFixed(2)},${line}\n`).join(""));
  }
  closeSync(out);
  renameSync(half, file);
}

/** Per column what a profile must say. Columns of the source come `REPEATS` times, so their shares stay. */
function exactly(header, rows, readings) {
  const columns = new Map([
    ["row", numbers(Float64Array.from(readings, (_, n) => n + 1))],
    ["reading", numbers(readings)],
  ]);
  for (const [at, name] of header.entries()) {
    const cells = rows.map((row) => row[at]).filter((cell) => cell !== "");
    const nulls = (rows.length - cells.length) * REPEATS;
    const numeric = cells.length > 0 && cells.every((cell) => /^-?(0|[1-9]\d*)(\.\d+)?$/.test(cell));
    const values = new Map();
    for (const cell of cells) values.set(cell, (values.get(cell) ?? 0) + REPEATS);
    columns.set(name, {
      ...(numeric ? numbers(Float64Array.from(cells, Number)) : {}),
      numeric,
      distinct: values.size,
      nulls,
      values,
    });
  }
  return columns;
}

function numbers(all) {
  const sorted = all.toSorted();
  let distinct = 0;
  let sum = 0;
  for (let n = 0; n < sorted.length; n += 1) {
    if (n === 0 || sorted[n] !== sorted[n - 1]) distinct += 1;
    sum += sorted[n];
  }
  return { numeric: true, nulls: 0, distinct, min: sorted[0], max: sorted.at(-1), mean: sum / sorted.length, sorted };
}

/** How far the share of values below `value` is from `part`; ties give a range of shares. */
export function rankError(sorted, value, part) {
  const below = bound(sorted, (one) => one < value) / sorted.length;
  const upTo = bound(sorted, (one) => one <= value) / sorted.length;
  return Math.max(0, below - part, part - upTo);
}

function bound(sorted, before) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (before(sorted[middle])) low = middle + 1;
    else high = middle;
  }
  return low;
}

const quoted = (cell) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

/** RFC 4180. */
function parse(text) {
  const rows = [];
  let row = [];
  let cell = "";
  let inside = false;
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (inside) {
      if (sign !== '"') cell += sign;
      else if (text[at + 1] === '"') {
        cell += sign;
        at += 1;
      } else inside = false;
    } else if (sign === '"') inside = true;
    else if (sign === "," || sign === "\n") {
      row.push(cell);
      cell = "";
      if (sign === "\n") {
        rows.push(row);
        row = [];
      }
    } else if (sign !== "\r") cell += sign;
  }
  if (cell !== "" || row.length > 0) rows.push([...row, cell]);
  return rows;
}

/** A generator of 32-bit state, so that everybody has the same table. */
function mulberry(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const normal = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
