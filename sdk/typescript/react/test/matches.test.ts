import { describe, expect, it } from "vitest";
import { aTask } from "../../test/make.ts";
import { matches } from "../src/matches.ts";

const task = aTask("AzB-9c", { kind: "images.resize", queue: "media", tags: ["Order-12", "büro 7"] });

describe("a search", () => {
  it("finds words where they begin, as the server does", () => {
    for (const [q, found] of [
      ["re", true],
      ["size", false],
      ["images.re", true],
      ["IMAGES", true],
      ["order-12 büro", true],
      ["BÜRO", true],
      ["üro", false],
      ["12", true],
      ["2", false],
      [".resize", true],
      ["order 7 med", true],
      ["order 8", false],
      ["azb-9", true],
      ["zb", false],
      ["  ", true],
    ] as const) {
      expect(matches(task, { q }), q).toBe(found);
    }
  });

  it("finds a task by its error once it has failed", () => {
    const error = { code: "too_big", message: `The file is larger than ${"x".repeat(90)} unseen` };
    const failed = { ...task, error, status: "failed" as const };
    expect(matches(failed, { q: "LARGER too_b re" })).toBe(true);
    expect(matches(failed, { q: "unseen" })).toBe(false);
    expect(matches({ ...failed, status: "retrying" }, { q: "larger" })).toBe(false);
    expect(matches(failed, { q: "larger", status: ["completed"] })).toBe(false);
  });
});
