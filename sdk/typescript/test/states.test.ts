import { describe, expect, it } from "vitest";
import { canCancel, canEdit, canReschedule, hasEnded, STATUSES } from "../src/states.ts";

describe("what may be done to a task", () => {
  it("is moved and edited only while no worker has it", () => {
    expect(STATUSES.filter(canReschedule)).toEqual(["scheduled", "retrying", "queued"]);
    expect(STATUSES.filter(canEdit)).toEqual(STATUSES.filter(canReschedule));
  });

  it("can be cancelled wherever it can be moved, and has not ended there", () => {
    for (const status of STATUSES.filter(canReschedule)) {
      expect([canCancel(status), hasEnded(status)]).toEqual([true, false]);
    }
  });
});
