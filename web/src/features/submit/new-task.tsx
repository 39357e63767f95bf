"use client";

import type { Json, KindInfo, Task } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { Braces, ChevronLeft, ListTree, Play } from "lucide-react";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Card, Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { Textarea } from "@/components/ui/field";
import { Prose } from "@/components/ui/prose";
import { reachable } from "@/components/ui/reachable";
import { submitTask } from "@/features/tasks/actions";
import { call } from "@/lib/call";
import { cn } from "@/lib/cn";
import { type Draft, draftOf, type Errors, payloadOf, placeErrors } from "./draft";
import { NO_OPTIONS, OptionFields, type Options, settingsOf } from "./options";
import { SchemaForm } from "./schema-form";
import { readSchema } from "./shape";

type Trouble = { title: string; details: string[]; fields: Errors; options: Errors };
const NO_TROUBLE: Trouble = { title: "", details: [], fields: {}, options: {} };

/** Workers a task may lose unless its kind says otherwise. */
const CRASHES_MAX = 3;

type Props = { kind: KindInfo; from: Task | undefined };

/** One kind's form: fields from its schema or bare JSON, and what is about to be sent beside it. */
export function NewTask({ kind, from }: Props) {
  const router = useRouter();
  const { store } = useLive();
  const shape = useMemo(() => readSchema(kind.schema), [kind.schema]);
  const [draft, setDraft] = useState<Draft>(() => draftOf(shape, from?.payload ?? kind.example));
  const [json, setJson] = useState<string>();
  const [options, setOptions] = useState<Options>(() => ({ ...NO_OPTIONS, tags: from?.tags.join(", ") ?? "" }));
  const [trouble, setTrouble] = useState<Trouble>(NO_TROUBLE);
  const [sending, setSending] = useState(false);
  const [pending, setPending] = useState<Record<string, number>>({});
  const form = useRef<HTMLFormElement>(null);
  // The same press repeated after a lost answer carries the same key, so it makes no second task.
  const attemptKey = useRef({ body: "", key: "" });

  const onPending = useCallback(
    (field: string, n: number) => setPending((old) => (old[field] === n ? old : { ...old, [field]: n })),
    [],
  );
  const uploads = Object.values(pending).reduce((sum, n) => sum + n, 0);
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

  const submit = async () => {
    const { settings, errors } = settingsOf(options);
    if (Object.keys(built.errors).length > 0 || Object.keys(errors).length > 0) {
      const { placed, unplaced } = placeErrors(shape, built.errors);
      setTrouble({
        title: json === undefined ? "Some fields need another look." : "This is not valid JSON.",
        details: json === undefined ? unplaced : [],
        fields: placed,
        options: errors,
      });
      return;
    }
    const request = { kind: kind.kind, payload: built.payload, ...settings };
    const body = JSON.stringify(request);
    if (attemptKey.current.body !== body) attemptKey.current = { body, key: newKey() };
    setSending(true);
    setTrouble(NO_TROUBLE);
    const result = await call(() =>
      submitTask({ ...request, idempotency_key: settings.idempotency_key ?? attemptKey.current.key }),
    );
    if (result.ok) {
      attemptKey.current = { body: "", key: "" };
      store.seed(result.value);
      router.push(`/tasks/${result.value.id}`);
      return;
    }
    setSending(false);
    const { payload, rest } = splitFields(result.code, result.fields ?? {});
    const { placed, unplaced } = placeErrors(shape, payload);
    const shown = json === undefined ? placed : {};
    const told =
      json === undefined ? unplaced : Object.entries(payload).map(([at, detail]) => `${at || "/"}: ${detail}`);
    const misfit = result.code === "payload_invalid" && Object.keys(payload).length > 0;
    setTrouble({
      title: misfit ? "Some of this does not fit. Nothing was sent." : result.message,
      details: told,
      fields: shown,
      options: rest,
    });
  };

  return (
    <div>
      <Link href="/new" className="inline-flex items-center gap-0.5 rounded-sm text-sm text-ink-faint hover:text-ink">
        <ChevronLeft aria-hidden className="-ml-1 size-4" /> All kinds
      </Link>
      <div className="mt-3 grid items-start gap-x-10 gap-y-6 lg:grid-cols-[minmax(0,1fr)_21rem]">
        <header className="lg:col-span-2">
          <h1 className="text-2xl font-semibold">{kind.title ?? kind.kind}</h1>
          {kind.description ? (
            <p className="mt-1.5 max-w-2xl text-ink-soft">
              <Prose text={kind.description} />
            </p>
          ) : null}
          {from ? (
            <p className="mt-2 text-sm text-ink-faint">
              Filled in from{" "}
              <Link href={`/tasks/${from.id}`} className="font-mono text-xs underline underline-offset-2">
                {from.id}
              </Link>
            </p>
          ) : null}
          {kind.served ? null : (
            <Notice tone="amber" title="No worker for this right now" className="mt-4 max-w-2xl">
              The task will be accepted and wait in line until one starts.
            </Notice>
          )}
        </header>

        <form
          ref={form}
          noValidate
          aria-label={`Run ${kind.kind}`}
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
          className="flex min-w-0 flex-col gap-5"
        >
          {trouble.title ? (
            <Notice title={trouble.title}>
              {trouble.details.length > 0 ? (
                <ul className="list-disc pl-4">
                  {trouble.details.map((detail) => (
                    <li key={detail}>{detail}</li>
                  ))}
                </ul>
              ) : null}
            </Notice>
          ) : null}
          <Card className="p-5 sm:p-6">
            <div className="-mt-1 mb-4 flex items-center justify-between">
              <h2 className="text-sm font-medium tracking-normal text-ink-soft">Input</h2>
              <Button look="ghost" size="sm" onClick={switchMode} className="-mr-2">
                {json === undefined ? <Braces /> : <ListTree />}
                {json === undefined ? "Edit as JSON" : "Back to the form"}
              </Button>
            </div>
            {json === undefined ? (
              <SchemaForm
                shape={shape}
                draft={draft}
                onChange={setDraft}
                errors={trouble.fields}
                onPending={onPending}
              />
            ) : (
              <Textarea
                aria-label="Payload as JSON"
                data-pointer=""
                aria-invalid={built.errors[""] && trouble.title ? true : undefined}
                value={json}
                onChange={(event) => setJson(event.target.value)}
                className="min-h-72 font-mono text-xs"
              />
            )}
          </Card>
          <OptionFields
            options={options}
            onChange={setOptions}
            errors={trouble.options}
            attemptsMax={kind.attempts_max}
            crashesMax={kind.crashes_max ?? CRASHES_MAX}
            open={false}
          />
          <div className="sticky bottom-18 z-10 -mx-4 flex items-center gap-3 bg-gradient-to-t from-canvas from-70% to-transparent px-4 pt-6 pb-3 sm:static sm:mx-0 sm:bg-none sm:p-0">
            <Button
              type="submit"
              look="solid"
              size="lg"
              busy={sending}
              disabled={uploads > 0}
              className="max-sm:flex-1"
            >
              {sending ? null : <Play />}
              {uploads > 0 ? `Sending ${uploads} ${uploads === 1 ? "file" : "files"}…` : "Run it"}
            </Button>
            <Button asChild look="ghost" size="lg">
              <Link href="/tasks">Back</Link>
            </Button>
          </div>
        </form>

        <aside aria-label="What is sent" className="sticky top-20 hidden min-w-0 lg:block">
          <Card className={cn("relative overflow-hidden bg-sunken shadow-none")}>
            <div className="flex items-center justify-between border-b border-line py-1.5 pr-2 pl-4">
              <h2 className="text-xs font-medium tracking-normal text-ink-faint">What is sent</h2>
              <CopyButton
                text={JSON.stringify({ kind: kind.kind, payload: built.payload }, null, 2)}
                label="Copy the request"
              />
            </div>
            <pre
              {...reachable}
              className="max-h-[60vh] overflow-auto p-4 font-mono text-xs leading-relaxed text-ink-soft -outline-offset-2"
            >
              {JSON.stringify({ kind: kind.kind, payload: built.payload, ...settingsOf(options).settings }, null, 2)}
            </pre>
          </Card>
        </aside>
      </div>
    </div>
  );
}

/** Works on plain http as well, where `randomUUID` does not exist. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `web-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
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
