import { type Json, STATUSES } from "@tasktonic/client";
import { act, fireEvent, render, screen } from "@testing-library/react";
import axe from "axe-core";
import { useState } from "react";
import { describe, expect, it, vi } from "vitest";
import { ProgressBar } from "@/components/ui/progress-bar";
import { type Draft, draftOf, payloadOf } from "@/features/submit/draft";
import { isTaken } from "@/features/submit/file-field";
import { SchemaForm } from "@/features/submit/schema-form";
import { readSchema } from "@/features/submit/shape";
import { STATUS_FACE, StatusFace } from "@/features/tasks/status-face";

async function trouble(node: HTMLElement) {
  // Colours are judged in a real browser.
  const { violations } = await axe.run(node, {
    rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
  });
  return violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
}

const schema: Json = {
  type: "object",
  required: ["url", "method"],
  properties: {
    url: { type: "string", format: "uri", title: "Address", description: "https only" },
    method: { enum: ["GET", "POST"], default: "GET" },
    width: { type: "integer", minimum: 1, maximum: 10 },
    deep: { type: "boolean", title: "Deep" },
    photos: { type: "array", title: "Photos", items: { type: "string", format: "file" } },
    headers: {
      type: "array",
      items: { type: "object", required: ["name"], properties: { name: { type: "string" } } },
    },
    rest: { description: "anything" },
  },
};

function Form({ errors = {}, told }: { errors?: Record<string, string>; told?: (payload: unknown) => void }) {
  const shape = readSchema(schema);
  const [draft, setDraft] = useState<Draft>(() => draftOf(shape, { url: "", headers: [{ name: "a" }] }));
  told?.(payloadOf(shape, draft).payload);
  return <SchemaForm shape={shape} draft={draft} onChange={setDraft} errors={errors} onPending={() => {}} />;
}

describe("the form of a schema", () => {
  it("gives every field a name, and nothing that axe objects to", async () => {
    const { container } = render(<Form errors={{ "/url": "This is needed.", "/photos": "Choose one." }} />);
    expect(screen.getByLabelText(/^Address/)).toBeTruthy();
    expect(screen.getByRole("switch", { name: "Deep" })).toBeTruthy();
    expect(screen.getByRole("radio", { name: "GET" })).toBeTruthy();
    expect(await trouble(container)).toEqual([]);
  });

  it("ties an error to its field", () => {
    render(<Form errors={{ "/url": "This is needed." }} />);
    const input = screen.getByLabelText(/^Address/);
    expect(input.getAttribute("aria-invalid")).toBe("true");
    const described = input.getAttribute("aria-describedby")?.split(" ") ?? [];
    expect(described.map((id) => document.getElementById(id)?.textContent)).toEqual(["https only", "This is needed."]);
  });

  it("adds and removes items of a list", () => {
    const told = vi.fn();
    render(<Form told={told} />);
    const [, add] = screen.getAllByRole("button", { name: /Add|Remove Headers 1/ });
    act(() => add?.click());
    expect(told.mock.lastCall?.[0].headers).toHaveLength(2);
    act(() => screen.getByRole("button", { name: "Remove Headers 1" }).click());
    expect(told.mock.lastCall?.[0].headers).toHaveLength(1);
  });
});

describe("a place for files", () => {
  const photos: Json = {
    type: "object",
    properties: { photos: { type: "array", items: { type: "string", format: "file" }, accept: "image/png, .webp" } },
  };
  function Place() {
    const shape = readSchema(photos);
    const [draft, setDraft] = useState<Draft>(() => draftOf(shape));
    return <SchemaForm shape={shape} draft={draft} onChange={setDraft} errors={{}} onPending={() => {}} />;
  }

  it("tells the browser what it takes, and refuses what is dropped anyway", () => {
    const { container } = render(<Place />);
    expect(container.querySelector("input[type=file]")?.getAttribute("accept")).toBe("image/png,.webp");
    const zone = container.querySelector("[data-slot=drop-zone]") as HTMLElement;
    fireEvent.drop(zone, { dataTransfer: { files: [new File(["a,b"], "people.csv", { type: "text/csv" })] } });
    expect(screen.getByText("Not taken here: only PNG, WEBP.")).toBeTruthy();
    expect(screen.queryByRole("button", { name: /Send people.csv again/ })).toBeNull();
  });

  it.each([
    ["a.png", "image/png", ["image/png"], true],
    ["a.PNG", "", ["image/png"], true],
    ["a.gif", "image/gif", ["image/*"], true],
    ["a.CSV", "text/plain", [".csv"], true],
    ["a.csv", "text/csv", ["image/*", ".txt"], false],
    ["a.csv", "text/csv", [], true],
  ])("takes %s of type %j where %j is asked for: %s", (name, type, accept, taken) => {
    expect(isTaken({ name, type }, accept)).toBe(taken);
  });

  it("does not let the browser open what is dropped beside it", () => {
    const { unmount } = render(<Place />);
    const beside = () => {
      const event = new Event("drop", { bubbles: true, cancelable: true });
      Object.assign(event, { dataTransfer: { types: ["Files"], dropEffect: "" } });
      document.body.dispatchEvent(event);
      return event.defaultPrevented;
    };
    expect(beside()).toBe(true);
    unmount();
    expect(beside()).toBe(false);
  });
});

describe("a status", () => {
  it.each(STATUSES)("%s is an icon, a word and a colour", (status) => {
    const { container } = render(<StatusFace status={status} />);
    expect(container.querySelector("svg")).toBeTruthy();
    expect(container.textContent).toBe(STATUS_FACE[status].label);
    expect(container.firstElementChild?.className).toMatch(/text-(slate|violet|blue|amber|orange|green|red)/);
  });
});

describe("a progress bar", () => {
  it("says how far in words, and nothing it does not know", () => {
    const { rerender } = render(<ProgressBar live label="Import" progress={{ done: 120, total: 400, unit: "rows" }} />);
    const bar = screen.getByRole("progressbar", { name: "Import" });
    expect(bar.getAttribute("aria-valuetext")).toBe("120 of 400 rows");
    expect(bar.getAttribute("aria-valuenow")).toBe("30");
    rerender(<ProgressBar live label="Import" progress={null} />);
    expect(bar.hasAttribute("aria-valuenow")).toBe(false);
    expect(bar.getAttribute("aria-valuetext")).toBe("Under way");
  });
});
