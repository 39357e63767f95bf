"use client";

import { Plus, X } from "lucide-react";
import { use, useId } from "react";
import { Button } from "@/components/ui/button";
import { describedBy, Field, FieldError, Input, NativeSelect, Textarea } from "@/components/ui/field";
import { Prose } from "@/components/ui/prose";
import { Switch } from "@/components/ui/switch";
import { cn } from "@/lib/cn";
import { number } from "@/lib/format";
import { fromLocal, toLocal } from "@/lib/local-time";
import { Chosen, type Draft, draftOf, type Errors, escapePart } from "./draft";
import { FileField } from "./file-field";
import { Around, type NodeProps, type Of, typed, useField } from "./form-node";
import { MapNode } from "./map-node";
import type { Shape } from "./shape";

/** A form for a JSON Schema. It holds nothing: the draft goes in, changes come out. */
export function SchemaForm(props: {
  shape: Shape;
  draft: Draft;
  onChange: (draft: Draft) => void;
  errors: Errors;
  onPending: (field: string, pending: number) => void;
}) {
  const { shape, draft, onChange, errors, onPending } = props;
  return (
    <Around value={{ errors, onPending }}>
      {shape.is === "group" ? (
        <Members shape={shape} draft={draft} onChange={onChange} at="" />
      ) : (
        <Node shape={{ ...shape, title: shape.title || "Payload" }} draft={draft} onChange={onChange} at="" required />
      )}
    </Around>
  );
}

function Members({ shape, draft, onChange, at }: Omit<NodeProps<Of<"group">>, "required">) {
  const map = typeof draft === "object" && !Array.isArray(draft) && !(draft instanceof Chosen) ? draft : {};
  if (shape.properties.length === 0) {
    return <p className="text-sm text-ink-faint">This kind needs no input.</p>;
  }
  return (
    <div className="grid gap-x-6 gap-y-5 sm:grid-cols-2">
      {shape.properties.map(({ name, required, shape: inner }) =>
        inner.is === "fixed" ? null : (
          <div key={name} className={cn("min-w-0", !isShort(inner) && "sm:col-span-2")}>
            <Node
              shape={inner}
              draft={map[name]}
              onChange={(next) => onChange({ ...map, [name]: next })}
              at={`${at}/${escapePart(name)}`}
              required={required}
            />
          </div>
        ),
      )}
    </div>
  );
}

/** Two of these stand side by side where there is room. */
const isShort = (shape: Shape) =>
  shape.is === "number" || shape.is === "choice" || (shape.is === "text" && /^date/.test(shape.format));

function Node(props: NodeProps) {
  const { shape } = props;
  switch (shape.is) {
    case "fixed":
      return null;
    case "text":
      return <TextNode {...props} shape={shape} />;
    case "number":
      return <NumberNode {...props} shape={shape} />;
    case "switch":
      return <SwitchNode {...props} shape={shape} />;
    case "choice":
      return <ChoiceNode {...props} shape={shape} />;
    case "file":
      return <FileNode {...props} accept={shape.accept} multiple={false} />;
    case "list":
      return shape.item.is === "file" ? (
        <FileNode {...props} accept={shape.item.accept} multiple />
      ) : (
        <ListNode {...props} shape={shape} />
      );
    case "map":
      return <MapNode {...props} shape={shape} />;
    case "group":
      return <GroupNode {...props} shape={shape} />;
    case "variants":
      return <VariantsNode {...props} shape={shape} />;
    case "json":
      return <JsonNode {...props} shape={shape} />;
  }
}

const INPUT_TYPE = { plain: "text", uri: "url", email: "email", date: "date" } as const;

function TextNode({ shape, draft, onChange, at, required, bare = false }: NodeProps<Of<"text">>) {
  const { field, input } = useField(at, shape, required);
  const shared = { ...input, maxLength: shape.max };
  if (shape.format === "long") {
    return (
      <Field {...field} bare={bare}>
        <Textarea {...shared} value={typed(draft)} onChange={(event) => onChange(event.target.value)} />
      </Field>
    );
  }
  if (shape.format === "date-time") {
    return (
      <Field {...field} bare={bare}>
        <Input
          {...input}
          type="datetime-local"
          step={1}
          value={toLocal(typed(draft))}
          onChange={(event) => onChange(fromLocal(event.target.value))}
        />
      </Field>
    );
  }
  return (
    <Field {...field} bare={bare}>
      <Input
        {...shared}
        type={INPUT_TYPE[shape.format]}
        spellCheck={false}
        autoCapitalize="off"
        placeholder={shape.format === "uri" ? "https://" : undefined}
        value={typed(draft)}
        onChange={(event) => onChange(event.target.value)}
      />
    </Field>
  );
}

/** RFC 3339 in UTC outside, the clock on the wall inside. */

function NumberNode({ shape, draft, onChange, at, required, bare = false }: NodeProps<Of<"number">>) {
  const { field, input } = useField(at, shape, required);
  const { min, max } = shape;
  const range =
    min !== undefined && max !== undefined && max < 1e9
      ? `${number(min)} to ${number(max)}`
      : min !== undefined && min > 0
        ? `at least ${number(min)}`
        : undefined;
  return (
    <Field {...field} bare={bare}>
      <div className="flex items-center gap-3">
        <Input
          {...input}
          inputMode={shape.whole ? "numeric" : "decimal"}
          className={cn("tabular", bare ? "w-28" : "max-w-40")}
          title={bare ? range : undefined}
          value={typed(draft)}
          onChange={(event) => onChange(event.target.value)}
        />
        {range && !bare ? <span className="tabular text-xs text-ink-faint">{range}</span> : null}
      </div>
    </Field>
  );
}

function SwitchNode({ shape, draft, onChange, at }: NodeProps<Of<"switch">>) {
  const id = useId();
  const error = use(Around).errors[at];
  return (
    <div className="flex items-start justify-between gap-6">
      <div>
        <label htmlFor={id} className="text-sm font-medium">
          {shape.title}
        </label>
        {shape.hint ? (
          <p id={`${id}-hint`} className="mt-0.5 text-xs text-ink-faint">
            <Prose text={shape.hint} />
          </p>
        ) : null}
        <FieldError id={`${id}-error`} text={error} />
      </div>
      <Switch
        id={id}
        data-pointer={at}
        aria-describedby={describedBy(id, shape.hint, error)}
        checked={draft === true}
        onCheckedChange={onChange}
      />
    </div>
  );
}

const FEW = 4;

/** Whether a hint has no word that its label has not: "Same as the photo", "What the photo is". */
function saysTheSame(label: string, hint: string): boolean {
  const words = (text: string) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const said = new Set(words(label));
  const idle = new Set(["what", "is", "it", "a", "an", "the", "as", "are"]);
  return words(hint).every((word) => said.has(word) || idle.has(word));
}

function ChoiceNode({ shape, draft, onChange, at, required, bare = false }: NodeProps<Of<"choice">>) {
  const { field, input } = useField(at, shape, required);
  const short = shape.choices.length <= FEW && shape.choices.every(({ label }) => label.length <= 12);
  if (short && (required || shape.fallback !== undefined)) {
    return (
      <fieldset className="flex flex-col gap-1.5" aria-describedby={input["aria-describedby"]}>
        <legend className="mb-1.5 text-sm font-medium">{shape.title}</legend>
        <div className="flex w-fit max-w-full overflow-hidden rounded-md border border-line-strong bg-surface shadow-soft">
          {shape.choices.map(({ value, label, hint }, index) => (
            <label
              key={value}
              title={hint}
              className="flex h-10 items-center border-l border-line px-3.5 text-sm whitespace-pre transition-colors first:border-l-0 hover:bg-hover has-checked:bg-solid has-checked:text-on-solid has-focus-visible:outline-2 has-focus-visible:-outline-offset-2 has-focus-visible:outline-ring sm:h-9"
            >
              <input
                type="radio"
                className="sr-only"
                name={field.id}
                {...(index === 0 ? { "data-pointer": at } : {})}
                checked={draft === String(value)}
                onChange={() => onChange(String(value))}
              />
              {label}
            </label>
          ))}
        </div>
        {shape.hint ? (
          <p id={`${field.id}-hint`} className="text-xs text-ink-faint">
            <Prose text={shape.hint} />
          </p>
        ) : null}
        <FieldError id={`${field.id}-error`} text={field.error} />
      </fieldset>
    );
  }
  const chosen = shape.choices.find(({ value }) => String(value) === draft);
  const hint = chosen?.hint && !saysTheSame(chosen.label, chosen.hint) ? chosen.hint : shape.hint;
  return (
    <Field {...field} hint={hint} bare={bare}>
      <NativeSelect
        {...input}
        aria-describedby={describedBy(field.id, hint, field.error)}
        className="max-w-80"
        value={typed(draft)}
        onChange={(event) => onChange(event.target.value)}
      >
        {required && draft !== undefined ? null : <option value="">{required ? "Choose…" : "Left open"}</option>}
        {shape.choices.map(({ value, label }) => (
          <option key={value} value={String(value)}>
            {label}
          </option>
        ))}
      </NativeSelect>
    </Field>
  );
}

type FileNodeProps = NodeProps & { accept: string[]; multiple: boolean };

function FileNode({ shape, draft, onChange, at, required, accept, multiple }: FileNodeProps) {
  const id = useId();
  const { errors, onPending } = use(Around);
  const value = multiple
    ? (Array.isArray(draft) ? draft : []).filter((item) => typeof item === "string")
    : typeof draft === "string" && draft
      ? [draft]
      : [];
  return (
    <div data-pointer={at}>
      <FileField
        id={id}
        label={shape.title}
        hint={shape.hint}
        optional={!required}
        accept={accept}
        multiple={multiple}
        max={shape.is === "list" ? shape.max : undefined}
        value={value}
        onChange={(ids) => onChange(multiple ? ids : ids[0])}
        onPending={(pending) => onPending(at, pending)}
        error={errors[at]}
      />
    </div>
  );
}

function ListNode({ shape, draft, onChange, at, required }: NodeProps<Of<"list">>) {
  const items = Array.isArray(draft) ? draft : [];
  const error = use(Around).errors[at];
  const simple = shape.item.is !== "group" && shape.item.is !== "variants" && shape.item.is !== "list";
  // Numbers and choices are short enough to stand in one line.
  const inLine = isShort(shape.item);
  const full = shape.max !== undefined && items.length >= shape.max;
  const add = full ? null : (
    <Button
      size="sm"
      className={cn("w-fit", inLine && "h-10 sm:h-9")}
      onClick={() => onChange([...items, draftOf(shape.item)])}
    >
      <Plus /> Add{items.length > 0 ? " another" : ""}
    </Button>
  );
  return (
    <fieldset data-pointer={at} className="flex min-w-0 flex-col gap-2">
      <legend className="mb-1.5 flex items-baseline gap-2 text-sm font-medium">
        {shape.title}
        {required ? null : <span className="text-xs font-normal text-ink-faint">optional</span>}
      </legend>
      <div className={inLine ? "flex flex-wrap items-start gap-x-4 gap-y-2" : "contents"}>
        {items.map((item, index) => (
          <div
            // The fields are controlled, so their place is all the name they need.
            key={index}
            className={
              simple ? "flex items-start gap-1" : "relative rounded-lg border border-line bg-surface p-4 pr-12"
            }
          >
            <div className={inLine ? "" : "min-w-0 flex-1"}>
              <Node
                shape={{ ...shape.item, title: shape.item.title || `${shape.title} ${index + 1}` }}
                draft={item}
                onChange={(next) => onChange(items.map((old, place) => (place === index ? next : old)))}
                at={`${at}/${index}`}
                required
                bare={simple}
              />
            </div>
            <Button
              look="ghost"
              size="icon"
              aria-label={`Remove ${shape.title} ${index + 1}`}
              className={simple ? "size-10 sm:size-9" : "absolute top-2 right-2"}
              onClick={() => onChange(items.filter((_, place) => place !== index))}
            >
              <X />
            </Button>
          </div>
        ))}
        {add}
      </div>
      {shape.hint ? (
        <p className="text-xs text-ink-faint">
          <Prose text={shape.hint} />
        </p>
      ) : null}
      <FieldError id={`${at}-error`} text={error} />
    </fieldset>
  );
}

function GroupNode({ shape, draft, onChange, at, required }: NodeProps<Of<"group">>) {
  const error = use(Around).errors[at];
  return (
    <fieldset data-pointer={at} className="min-w-0 rounded-lg border border-line bg-surface p-4">
      <legend className="-ml-1 flex items-baseline gap-2 px-1 text-sm font-medium">
        {shape.title}
        {required ? null : <span className="text-xs font-normal text-ink-faint">optional</span>}
      </legend>
      {shape.hint ? (
        <p className="mb-3 text-xs text-ink-faint">
          <Prose text={shape.hint} />
        </p>
      ) : null}
      <Members shape={shape} draft={draft} onChange={onChange} at={at} />
      <FieldError id={`${at}-error`} text={error} />
    </fieldset>
  );
}

function VariantsNode({ shape, draft, onChange, at, required }: NodeProps<Of<"variants">>) {
  const { field, input } = useField(at, shape, required);
  const chosen = draft instanceof Chosen ? draft : required ? new Chosen(0, undefined) : undefined;
  const variant = chosen && shape.variants[chosen.index];
  return (
    <div className="flex flex-col gap-4">
      <Field {...field}>
        <NativeSelect
          {...input}
          className="max-w-80"
          value={chosen?.index ?? ""}
          onChange={(event) => {
            if (event.target.value === "") return onChange(undefined);
            const index = Number(event.target.value);
            const next = shape.variants[index];
            onChange(new Chosen(index, next ? draftOf(next.shape) : undefined));
          }}
        >
          {required ? null : <option value="">None</option>}
          {shape.variants.map(({ label }, index) => (
            <option key={label} value={index}>
              {label}
            </option>
          ))}
        </NativeSelect>
      </Field>
      {chosen && variant ? (
        <div className="border-l-2 border-line pl-4">
          {variant.shape.is === "group" ? (
            <Members
              shape={variant.shape}
              draft={chosen.value}
              onChange={(next) => onChange(new Chosen(chosen.index, next))}
              at={at}
            />
          ) : (
            <Node
              shape={{ ...variant.shape, title: variant.shape.title || variant.label }}
              draft={chosen.value}
              onChange={(next) => onChange(new Chosen(chosen.index, next))}
              at={at}
              required={required}
            />
          )}
        </div>
      ) : null}
    </div>
  );
}

function JsonNode({ shape, draft, onChange, at, required }: NodeProps<Of<"json">>) {
  const { field, input } = useField(at, shape, required);
  return (
    <Field {...field} hint={shape.hint ? `${shape.hint} (JSON)` : shape.title === "JSON" ? undefined : "JSON"}>
      <Textarea
        {...input}
        aria-describedby={describedBy(field.id, shape.hint || shape.title !== "JSON", field.error)}
        className="font-mono text-xs"
        placeholder="{ }"
        value={typed(draft)}
        onChange={(event) => onChange(event.target.value)}
      />
    </Field>
  );
}
