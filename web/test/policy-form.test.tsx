import type { Task } from "@tasktonic/client";
import { fireEvent, render, screen } from "@testing-library/react";
import axe from "axe-core";
import { useState } from "react";
import { describe, expect, it } from "vitest";
import { NO_OPTIONS, OptionFields, type Options, settingsOf } from "@/features/submit/options";
import { Policy } from "@/features/tasks/detail/policy";

async function trouble(node: HTMLElement) {
  // Colours are judged in a real browser.
  const { violations } = await axe.run(node, {
    rules: { "color-contrast": { enabled: false }, region: { enabled: false }, "heading-order": { enabled: false } },
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
}

function Form({ told, errors = {} }: { told?: (options: Options) => void; errors?: Record<string, string> }) {
  const [options, setOptions] = useState<Options>(NO_OPTIONS);
  told?.(options);
  return (
    <OptionFields options={options} onChange={setOptions} errors={errors} attemptsMax={5} crashesMax={3} open={true} />
  );
}

describe("the options of a task", () => {
  it("say all there is about attempts", () => {
    let options: Options = NO_OPTIONS;
    render(
      <Form
        told={(now) => {
          options = now;
        }}
      />,
    );
    const type = (label: string | RegExp, value: string) =>
      fireEvent.change(screen.getByLabelText(label), { target: { value } });
    type("How the wait changes", "exponential");
    type("Wait before the next attempt", "2 s");
    type("Longest wait", "1 h");
    type("Rules for errors", "busy = 30 s");
    type("Workers it may lose", "2");
    type("Told to stop after", "1");
    type("Time limit per attempt", "2");
    type("Once failed", "30 days");
    expect(settingsOf(options)).toEqual({
      errors: {},
      settings: {
        crashes_max: 2,
        backoff: { form: "exponential", base_ms: 2_000, max_ms: 3_600_000 },
        rules: [{ code: "busy", action: "again_after", after_ms: 30_000 }],
        soft_timeout_ms: 60_000,
        timeout_ms: 120_000,
        keep: { failed_s: 2_592_000 },
      },
    });
  });

  it("give every field a name and its error a place, and nothing that axe objects to", async () => {
    const { container } = render(
      <Form errors={{ "/rules": "Not like this.", "/keep/failed_s": "is 60 to 31622400" }} />,
    );
    expect(screen.getByLabelText("Rules for errors").getAttribute("aria-invalid")).toBe("true");
    expect(screen.getByText("Not like this.")).toBeTruthy();
    expect(screen.getByText("is 60 to 31622400")).toBeTruthy();
    expect(await trouble(container)).toEqual([]);
  });
});

describe("the policy on a task's page", () => {
  it("is said in words", async () => {
    const task = {
      status: "retrying",
      attempts_max: 2,
      timeout_ms: null,
      policy: {
        crashes_max: 1,
        backoff: { form: "fixed", wait_ms: 5_000, jitter: 0 },
        rules: [{ code: "http_4*", action: "bury" }],
        soft_timeout_ms: null,
        keep: { completed_s: 3_600, cancelled_s: 3_600, failed_s: 86_400 },
      },
    } as unknown as Task;
    const { container } = render(<Policy task={task} />);
    expect(screen.getByText("Up to 2, the next one after 5 s")).toBeTruthy();
    expect(screen.getByText("http_4*")).toBeTruthy();
    expect(screen.getByText("No further attempt once its worker is lost")).toBeTruthy();
    expect(await trouble(container)).toEqual([]);
  });
});
