import { describe, expect, it } from "vitest";
import { heldWords, isNearlyFull, readBytes, SIZE_NAMES, typedBytes } from "@/features/queues/bytes";

describe("bytes that tasks may hold", () => {
  it("reads numbers with their unit, and nothing as no limit", () => {
    expect(readBytes("", "GB")).toBeNull();
    expect(readBytes(" 1.5 ", "GB")).toBe(1_500_000_000);
    for (const wrong of ["0", "-1", "a", "1,5", "9999", "1e3"]) expect(readBytes(wrong, "TB")).toBeUndefined();
  });
  it("types what it reads", () => {
    for (const unit of SIZE_NAMES) {
      for (const n of ["1", "2.5", "999"]) {
        const { typed, unit: of } = typedBytes(readBytes(n, unit) ?? null);
        expect(readBytes(typed, of)).toBe(readBytes(n, unit));
      }
    }
    expect(typedBytes(null).typed).toBe("");
  });
  it("says what is held of what may be", () => {
    expect(heldWords({ bytes: 1_500_000, bytes_max: 5_000_000_000 })).toMatch(/^1\.5 MB of 5(\.0)? GB$/);
    expect(heldWords({ bytes: 0, bytes_max: null })).not.toContain("of");
    expect([89, 90, 120].map((bytes) => isNearlyFull({ bytes, bytes_max: 100 }))).toEqual([false, true, true]);
    expect(isNearlyFull({ bytes: 9e15, bytes_max: null })).toBe(false);
  });
});
