"use client";

import type { KindInfo, Task } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { ChevronLeft, Play } from "lucide-react";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useRef, useState } from "react";
import { Card, Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { Prose } from "@/components/ui/prose";
import { reachable } from "@/components/ui/reachable";
import { submitTask } from "@/features/tasks/actions";
import { call } from "@/lib/call";
import { cn } from "@/lib/cn";
import { TakesPlaces } from "./kind-picker";
import { NO_OPTIONS, OptionFields, type Options, optionsFrom, settingsOf } from "./options";
import { PayloadCard, TroubleNotice, usePayloadForm } from "./payload-form";

/** Workers a task may lose unless its kind says otherwise. */
const CRASHES_MAX = 3;

type Props = { kind: KindInfo; from: Task | undefined };

/** One kind's form: fields from its schema or bare JSON, and what is about to be sent beside it. */
export function NewTask({ kind, from }: Props) {
  const router = useRouter();
  const { store } = useLive();
  const payload = usePayloadForm(kind.schema, from?.payload ?? kind.example);
  const { built, uploads } = payload;
  const [options, setOptions] = useState<Options>(() => (from ? optionsFrom(from, kind) : NO_OPTIONS));
  const [sending, setSending] = useState(false);
  // The same press repeated after a lost answer carries the same key, so it makes no second task.
  const attemptKey = useRef({ body: "", key: "" });

  const submit = async () => {
    const { settings, errors } = settingsOf(options);
    if (payload.isWrong(errors)) return;
    const request = { kind: kind.kind, payload: built.payload, ...settings };
    const body = JSON.stringify(request);
    if (attemptKey.current.body !== body) attemptKey.current = { body, key: newKey() };
    setSending(true);
    payload.forget();
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
    payload.tellRefusal(result);
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
          <TakesPlaces kind={kind} className="mt-2 block text-sm" />
          {from ? (
            <p className="mt-2 text-sm text-ink-faint">
              Filled in from{" "}
              <Link href={`/tasks/${from.id}`} className="font-mono text-xs underline underline-offset-2">
                {from.id}
              </Link>
              , with its labels and how it was attempted.
            </p>
          ) : null}
          {kind.served ? null : (
            <Notice tone="amber" title="No worker for this right now" className="mt-4 max-w-2xl">
              The task will be accepted and wait in line until one starts.
            </Notice>
          )}
        </header>

        <form
          ref={payload.form}
          noValidate
          aria-label={`Run ${kind.kind}`}
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
          className="flex min-w-0 flex-col gap-5"
        >
          <TroubleNotice trouble={payload.trouble} />
          <PayloadCard form={payload} />
          <OptionFields
            options={options}
            onChange={setOptions}
            errors={payload.trouble.options}
            attemptsMax={kind.attempts_max}
            needs={kind.needs ?? []}
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
