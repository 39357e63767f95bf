"use client";

import type { Json } from "@tasktonic/client";
import { Braces, ListTree } from "lucide-react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Card, Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Textarea } from "@/components/ui/field";
import { type Draft, draftOf, type Errors, payloadOf, placeErrors } from "./draft";
import { SchemaForm } from "./schema-form";
import { readSchema } from "./shape";

export type Trouble = { title: string; details: string[]; fields: Errors; options: Errors };
const NO_TROUBLE: Trouble = { title: "", details: [], fields: {}, options: {} };

export type PayloadForm = ReturnType<typeof usePayloadForm>;

/** A payload while somebody types it, as fields of its schema or as bare JSON, and what is wrong with it. */
export function usePayloadForm(schema: Json, initial: Json | undefined) {
  const shape = useMemo(() => readSchema(schema), [schema]);
  const [draft, setDraft] = useState<Draft>(() => draftOf(shape, initial));
  const [json, setJson] = useState<string>();
  const [trouble, setTrouble] = useState<Trouble>(NO_TROUBLE);
  const [pending, setPending] = useState<Record<string, number>>({});
  const form = useRef<HTMLFormElement>(null);

  const onPending = useCallback(
    (field: string, n: number) => setPending((old) => (old[field] === n ? old : { ...old, [field]: n })),
    [],
  );
  const built = useMemo(() => read(json, () => payloadOf(shape, draft)), [json, shape, draft]);

  useEffect(() => {
    if (trouble !== NO_TROUBLE) focusFirst(form.current, trouble);
  }, [trouble]);

  const switchMode = () => {
    if (json === undefined) {
      setJson(JSON.stringify(built.payload, null, 2));
    } else {
      const parsed = parse(json);
      if (parsed === undefined) {
        setTrouble({ ...NO_TROUBLE, title: "This is not valid JSON yet, so it cannot be shown as a form." });
        return;
      }
      setDraft(draftOf(shape, parsed));
      setJson(undefined);
    }
    setTrouble(NO_TROUBLE);
  };

  /** Says what is wrong with what was typed, here and in the options; false if nothing is. */
  const isWrong = (options: Errors): boolean => {
    if (Object.keys(built.errors).length === 0 && Object.keys(options).length === 0) return false;
    const { placed, unplaced } = placeErrors(shape, built.errors);
    setTrouble({
      title: json === undefined ? "Some fields need another look." : "This is not valid JSON.",
      details: json === undefined ? unplaced : [],
      fields: placed,
      options,
    });
    return true;
  };

  /** Says why the API did not take it. */
  const tellRefusal = (refusal: { code: string; message: string; fields?: Errors }) => {
    const { payload, rest } = splitFields(refusal.code, refusal.fields ?? {});
    const { placed, unplaced } = placeErrors(shape, payload);
    const misfit = refusal.code === "payload_invalid" && Object.keys(payload).length > 0;
    setTrouble({
      title: misfit ? "Some of this does not fit. Nothing was sent." : refusal.message,
      details: json === undefined ? unplaced : Object.entries(payload).map(([at, detail]) => `${at || "/"}: ${detail}`),
      fields: json === undefined ? placed : {},
      options: rest,
    });
  };

  /** Begins anew with another payload. */
  const fillIn = (payload: Json | undefined) => {
    setDraft(draftOf(shape, payload));
    setJson((old) => (old === undefined ? undefined : JSON.stringify(payload, null, 2)));
    setTrouble(NO_TROUBLE);
  };

  return {
    form,
    shape,
    draft,
    setDraft,
    json,
    setJson,
    trouble,
    forget: () => setTrouble(NO_TROUBLE),
    built,
    uploads: Object.values(pending).reduce((sum, n) => sum + n, 0),
    onPending,
    switchMode,
    isWrong,
    tellRefusal,
    fillIn,
  };
}

export function TroubleNotice({ trouble }: { trouble: Trouble }) {
  if (!trouble.title) return null;
  return (
    <Notice title={trouble.title}>
      {trouble.details.length > 0 ? (
        <ul className="list-disc pl-4">
          {trouble.details.map((detail) => (
            <li key={detail}>{detail}</li>
          ))}
        </ul>
      ) : null}
    </Notice>
  );
}

export function PayloadCard({ form }: { form: PayloadForm }) {
  const { json, trouble } = form;
  return (
    <Card className="p-5 sm:p-6">
      <div className="-mt-1 mb-4 flex items-center justify-between">
        <h2 className="text-sm font-medium tracking-normal text-ink-soft">Input</h2>
        <Button look="ghost" size="sm" onClick={form.switchMode} className="-mr-2">
          {json === undefined ? <Braces /> : <ListTree />}
          {json === undefined ? "Edit as JSON" : "Back to the form"}
        </Button>
      </div>
      {json === undefined ? (
        <SchemaForm
          shape={form.shape}
          draft={form.draft}
          onChange={form.setDraft}
          errors={trouble.fields}
          onPending={form.onPending}
        />
      ) : (
        <Textarea
          aria-label="Payload as JSON"
          data-pointer=""
          aria-invalid={form.built.errors[""] && trouble.title ? true : undefined}
          value={json}
          onChange={(event) => form.setJson(event.target.value)}
          className="min-h-72 font-mono text-xs"
        />
      )}
    </Card>
  );
}

const parse = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
};

function read(json: string | undefined, fromForm: () => { payload: Json; errors: Errors }) {
  if (json === undefined) return fromForm();
  const payload = parse(json);
  return payload === undefined
    ? { payload: null, errors: { "": "This is not valid JSON." } as Errors }
    : { payload, errors: {} as Errors };
}

/** Our own checks and those of the members beside the payload speak of the whole request, others of the payload. */
function splitFields(code: string, fields: Errors): { payload: Errors; rest: Errors } {
  if (code !== "input_invalid" && code !== "submission_invalid") return { payload: fields, rest: {} };
  const payload: Errors = {};
  const rest: Errors = {};
  for (const [pointer, detail] of Object.entries(fields)) {
    if (pointer === "/payload" || pointer.startsWith("/payload/")) payload[pointer.slice("/payload".length)] = detail;
    else rest[shownAt(pointer)] = detail;
  }
  return { payload, rest };
}

/** Parts that have no field of their own are shown at the field they belong to. */
function shownAt(pointer: string): string {
  if (pointer === "/backoff/max_ms") return pointer;
  const [, first = ""] = pointer.split("/");
  return ["tags", "backoff", "rules"].includes(first) ? `/${first}` : pointer;
}

function focusFirst(form: HTMLFormElement | null, trouble: Trouble) {
  const names = [...Object.keys(trouble.fields), ...Object.keys(trouble.options).map((name) => `option:${name}`)];
  for (const place of form?.querySelectorAll<HTMLElement>("[data-pointer]") ?? []) {
    if (!names.includes(place.dataset.pointer ?? "")) continue;
    const input = place.matches("input,select,textarea,button")
      ? place
      : place.querySelector<HTMLElement>("input,button");
    (input ?? place).focus();
    return;
  }
  form?.scrollIntoView({ block: "start" });
}
