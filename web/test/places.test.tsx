import type { KindInfo, Task, Why } from "@tasktonic/client";
import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { KindPicker } from "@/features/submit/kind-picker";
import { placesWords, whyWords } from "@/features/tasks/why-words";
import { aTask } from "../../sdk/typescript/test/make.ts";

const kind = (over: Partial<KindInfo>): KindInfo => ({
  kind: "render",
  queue: "render",
  title: null,
  description: null,
  schema: {},
  attempts_max: 5,
  timeout_ms: null,
  served: true,
  ...over,
});

describe("a kind whose tasks take several places of a worker", () => {
  it("says so where it is chosen, and only then", () => {
    render(<KindPicker kinds={[kind({ places: 4 }), kind({ kind: "noop" })]} />);
    expect(screen.getAllByText(/places of a worker/).map((one) => one.textContent)).toEqual([
      "Each takes 4 places of a worker",
    ]);
  });

  it("says so of a task that waits for its turn", () => {
    const turn: Why = { reason: "turn", text: "In the server's words." };
    expect(placesWords(undefined)).toBeUndefined();
    expect(placesWords(turn)).toBeUndefined();
    expect(placesWords({ ...turn, places: 4, places_max: 8 })).toBe(
      "It takes 4 places of a worker, free at once; the largest worker for its kind has 8.",
    );
  });

  it("says how a worker comes that is large enough", () => {
    const task = aTask("VP7K2u0o8lpJu-5O", { status: "queued", queue: "render", kind: "render" }) as Task;
    const why: Why = { reason: "no_worker_with_places", text: "The largest has 2.", places: 4, places_max: 2 };
    const words = whyWords(task, why);
    expect(words?.text).toMatch(/^The largest has 2\. It starts by itself/);
    expect(words?.command).toBe("tasktonic work --kinds render --concurrency 4");
  });
});
