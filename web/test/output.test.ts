import type { Json } from "@tasktonic/client";
import { describe, expect, it } from "vitest";
import { readProfile } from "@/features/tasks/csv-profile";
import { filesIn, inputFiles } from "@/features/tasks/output-files";

const ID = "abcdefghijklmnopqrstuv";
const OTHER = "ABCDEFGHIJKLMNOPQRSTUV";

describe("files", () => {
  it("are found anywhere in an output, each once", () => {
    const file = { file: ID, name: "a.jpg", type: "image/jpeg", size: 3 };
    expect(filesIn({ photos: [file, file], deep: { er: [{ file: OTHER, name: "b" }] } })).toEqual([
      file,
      { file: OTHER, name: "b", type: "application/octet-stream", size: undefined },
    ]);
  });
  it("are not what only looks like one", () => {
    expect(filesIn({ file: "../../etc/passwd", name: "x" })).toEqual([]);
    expect(filesIn({ file: ID })).toEqual([]);
    expect(filesIn(undefined)).toEqual([]);
  });
  it("are read from a payload where the schema marks them", () => {
    const schema: Json = {
      properties: {
        photos: { items: { type: "string", format: "file" } },
        mask: { anyOf: [{ type: "string", format: "file" }, { type: "null" }] },
        note: { type: "string" },
      },
    };
    expect(inputFiles({ photos: [ID], mask: OTHER, note: ID }, schema)).toEqual([ID, OTHER]);
  });
});

describe("a table's profile", () => {
  it("is read with its columns, their gaps and their shapes", () => {
    const profile = readProfile({
      rows: 10,
      columns: [
        { name: "n", type: "integer", nulls: 2, min: 1, max: 9, histogram: [{ from: 1, to: 5, count: 6 }] },
        { name: "s", type: "string", nulls: 0, top: [{ value: "x", count: 4 }] },
      ],
    });
    expect(profile?.columns[0]).toMatchObject({
      filled: 8,
      empty: 2,
      shape: "ranges",
      stats: [
        ["min", 1],
        ["max", 9],
      ],
    });
    expect(profile?.columns[1]).toMatchObject({ shape: "values", bins: [{ label: "x", count: 4 }] });
  });
  it("says what is estimated, what is mixed, and what to know", () => {
    const profile = readProfile({
      rows: 9,
      bytes: 99,
      columns_total: 300,
      notes: ["Only the first 1 of 300 columns were looked at."],
      columns: [
        {
          name: "n",
          type: "text",
          nulls: 0,
          distinct: 1_000_000,
          distinct_estimated: true,
          top: [{ value: "x", count: 4 }],
          top_error_max: 2,
          types: { integer: 3, text: 6 },
        },
      ],
    });
    expect(profile).toMatchObject({ total: 300, notes: ["Only the first 1 of 300 columns were looked at."] });
    expect(profile?.columns[0]).toMatchObject({
      estimated: true,
      slack: 2,
      mixed: [
        ["text", 6],
        ["integer", 3],
      ],
    });
  });
  it("is none where the output has another form", () => {
    expect(readProfile({ columns: "three" })).toBeUndefined();
    expect(readProfile({ columns: [{ width: 3 }] })).toBeUndefined();
    expect(readProfile([1, 2])).toBeUndefined();
  });
});
