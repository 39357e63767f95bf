import type { KeyMode, Priority } from "@tasktonic/client";
import { fireEvent, render, screen } from "@testing-library/react";
import axe from "axe-core";
import { useState } from "react";
import { describe, expect, it } from "vitest";
import { KEY_MODES } from "@/features/submit/key";
import { NO_OPTIONS, OptionFields, type Options, settingsOf } from "@/features/submit/options";
import { PRIORITIES } from "@/features/tasks/priorities";

function Form({ told }: { told: (options: Options) => void }) {
  const [options, setOptions] = useState<Options>(NO_OPTIONS);
  told(options);
  return (
    <OptionFields options={options} onChange={setOptions} errors={{}} attemptsMax={5} crashesMax={3} open={true} />
  );
}

describe("the key of a task", () => {
  it("says in a sentence what each mode does, and asks for a time where one is needed", async () => {
    let options: Options = NO_OPTIONS;
    const { container } = render(
      <Form
        told={(now) => {
          options = now;
        }}
      />,
    );
    fireEvent.change(screen.getByLabelText("Idempotency key"), { target: { value: " report " } });
    for (const mode of Object.keys(KEY_MODES) as KeyMode[]) {
      const select = screen.getByLabelText("What the key means");
      fireEvent.change(select, { target: { value: mode } });
      const hint = document.getElementById(select.getAttribute("aria-describedby") ?? "");
      expect(hint?.textContent).toBe(KEY_MODES[mode].says);
      const time = screen.queryByLabelText("Time of the key");
      expect(time !== null, mode).toBe(KEY_MODES[mode].window !== undefined);
      if (time) {
        fireEvent.change(time, { target: { value: "" } });
        const { errors } = settingsOf(options);
        expect(errors["/key_window_ms"] !== undefined, mode).toBe(mode !== "ttl");
        fireEvent.change(time, { target: { value: "2" } });
      }
      const { settings, errors } = settingsOf(options);
      expect(errors).toEqual({});
      expect(settings).toEqual({
        idempotency_key: "report",
        ...(mode === "ttl" ? {} : { key_mode: mode }),
        ...(time ? { key_window_ms: 120_000 } : {}),
      });
    }
    const { violations } = await axe.run(container, {
      rules: { "color-contrast": { enabled: false }, region: { enabled: false }, "heading-order": { enabled: false } },
    });
    expect(violations.map(({ id }) => id)).toEqual([]);
  });

  it("may name the tasks it does not run beside, with or without a key", () => {
    let options: Options = NO_OPTIONS;
    render(
      <Form
        told={(now) => {
          options = now;
        }}
      />,
    );
    fireEvent.change(screen.getByLabelText("One at a time with"), { target: { value: "customer-7 " } });
    expect(settingsOf(options)).toEqual({ errors: {}, settings: { serial_key: "customer-7" } });
    expect(settingsOf({ ...options, key: "k" }).settings).toEqual({ idempotency_key: "k", serial_key: "customer-7" });
  });

  it("stands beside a priority, which says what it means and is sent where it is not normal", () => {
    let options: Options = NO_OPTIONS;
    render(
      <Form
        told={(now) => {
          options = now;
        }}
      />,
    );
    for (const priority of Object.keys(PRIORITIES) as Priority[]) {
      const select = screen.getByLabelText("Priority");
      fireEvent.change(select, { target: { value: priority } });
      const hint = document.getElementById(select.getAttribute("aria-describedby") ?? "");
      expect(hint?.textContent).toBe(`${PRIORITIES[priority].says}.`);
      expect(settingsOf(options).settings).toEqual(priority === "normal" ? {} : { priority });
    }
  });

  it("is asked for where something is said about it, and takes no other delay when debounced", () => {
    expect(settingsOf({ ...NO_OPTIONS, keyMode: "unique" }).errors["/idempotency_key"]).toMatch(/which key/);
    const debounced = { ...NO_OPTIONS, key: "k", keyMode: "debounce" as const, keyWindow: "5" };
    expect(settingsOf(debounced).errors).toEqual({});
    expect(settingsOf({ ...debounced, delay: "1" }).errors["/delay_ms"]).toMatch(/empty/);
  });
});
