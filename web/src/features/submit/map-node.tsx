"use client";

import { Plus, X } from "lucide-react";
import { use, useId } from "react";
import { Button } from "@/components/ui/button";
import { describedBy, FieldError, Input } from "@/components/ui/field";
import { Prose } from "@/components/ui/prose";
import { Chosen } from "./draft";
import { Around, type NodeProps, type Of, typed } from "./form-node";

/** Names and texts, each pair a line. */
export function MapNode({ shape, draft, onChange, at, required }: NodeProps<Of<"map">>) {
  const id = useId();
  const error = use(Around).errors[at];
  const rows = (Array.isArray(draft) ? draft : []).map((row) =>
    typeof row === "object" && !Array.isArray(row) && !(row instanceof Chosen) ? row : {},
  );
  const full = shape.max !== undefined && rows.length >= shape.max;
  const change = (index: number, part: { name?: string; text?: string }) =>
    onChange(rows.map((row, place) => (place === index ? { ...row, ...part } : row)));
  return (
    <fieldset data-pointer={at} className="flex min-w-0 flex-col gap-2">
      <legend className="mb-1.5 flex items-baseline gap-2 text-sm font-medium">
        {shape.title}
        {required ? null : <span className="text-xs font-normal text-ink-faint">optional</span>}
      </legend>
      {rows.map((row, index) => (
        // The fields are controlled, so their place is all the name they need.
        <div key={index} className="flex items-start gap-2">
          <Input
            aria-label={`Name ${index + 1} of ${shape.title}`}
            aria-invalid={error ? true : undefined}
            aria-describedby={describedBy(id, shape.hint, error)}
            placeholder="Name"
            autoCapitalize="off"
            spellCheck={false}
            className="min-w-0 flex-2"
            value={typed(row.name)}
            onChange={(event) => change(index, { name: event.target.value })}
          />
          <Input
            aria-label={`Value ${index + 1} of ${shape.title}`}
            placeholder="Value"
            autoCapitalize="off"
            spellCheck={false}
            className="min-w-0 flex-3"
            value={typed(row.text)}
            onChange={(event) => change(index, { text: event.target.value })}
          />
          <Button
            look="ghost"
            size="icon"
            className="size-10 sm:size-9"
            aria-label={`Remove ${shape.title} ${index + 1}`}
            onClick={() => onChange(rows.filter((_, place) => place !== index))}
          >
            <X />
          </Button>
        </div>
      ))}
      {full ? null : (
        <Button size="sm" className="w-fit" onClick={() => onChange([...rows, { name: "", text: "" }])}>
          <Plus /> Add{rows.length > 0 ? " another" : ""}
        </Button>
      )}
      {shape.hint ? (
        <p id={`${id}-hint`} className="text-xs text-ink-faint">
          <Prose text={shape.hint} />
        </p>
      ) : null}
      <FieldError id={`${id}-error`} text={error} />
    </fieldset>
  );
}
