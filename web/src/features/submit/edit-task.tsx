"use client";

import { type ApiClient, canEdit, canTryAgain, type Json, type KindInfo, type Task } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { ChevronLeft, RotateCcw, Save } from "lucide-react";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useId, useState } from "react";
import { toast } from "sonner";
import { Card, Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { describedBy, Field, Input } from "@/components/ui/field";
import { editTask, retryTask } from "@/features/tasks/actions";
import { tooLate } from "@/features/tasks/words";
import { call } from "@/lib/call";
import type { Result } from "@/lib/result";
import { tagsOf } from "./options";
import { PayloadCard, TroubleNotice, usePayloadForm } from "./payload-form";

type Change = { payload: Json; tags: string[] };
type Saved = { result: Result<Task>; now?: Task };

const TAGS = "/tags";
const TAGS_HINT = "With commas between them";

/** Whether an edit of `seen` says the same of `now`: it may have been moved, or its time may have come. */
export const isSame = (seen: Task, now: Task): boolean =>
  JSON.stringify([seen.payload, seen.tags]) === JSON.stringify([now.payload, now.tags]);

/** Saves over what was seen and nothing else; a new place in line is no reason not to. */
async function save(change: Change, seen: Task, api: ApiClient): Promise<Saved> {
  const send = (rev: number) => call(() => editTask({ id: seen.id, ...change, rev }));
  const result = await send(seen.rev);
  if (result.ok || result.code !== "changed_meanwhile") return { result };
  const now = await api.task(seen.id).catch(() => undefined);
  if (!now) return { result };
  return canEdit(now.status) && isSame(seen, now) ? { result: await send(now.rev), now } : { result, now };
}

/**
 * The input and the labels of a task: of one that waits before a worker takes it, of one that failed before it is
 * sent back.
 */
export function EditTask({ kind, task }: { kind: KindInfo; task: Task }) {
  const again = canTryAgain(task.status);
  const router = useRouter();
  const { api, store } = useLive();
  const payload = usePayloadForm(kind.schema, task.payload);
  const [tags, setTags] = useState(task.tags.join(", "));
  const [seen, setSeen] = useState(task);
  /** What was typed when it turned out that somebody else had been quicker. */
  const [unsaved, setUnsaved] = useState<string>();
  const [sending, setSending] = useState(false);
  const id = useId();
  const { uploads } = payload;
  const tagsError = payload.trouble.options[TAGS];
  const page = `/tasks/${task.id}`;

  const submit = async () => {
    if (payload.isWrong({})) return;
    const change = { payload: payload.built.payload, tags: tagsOf(tags) };
    setSending(true);
    payload.forget();
    const { result, now }: Saved = again
      ? { result: await call(() => retryTask({ id: task.id, ...change, rev: task.rev })) }
      : await save(change, seen, api);
    if (result.ok) {
      store.seed(result.value);
      if (again) toast.success("Back in line", { id: `verb-${task.id}`, description: "With what you corrected." });
      else toast.success("Saved", { id: `verb-${task.id}`, description: "It keeps its place and its time." });
      router.push(page);
      return;
    }
    const isLate = (again ? ["not_retryable", "changed_meanwhile"] : ["not_waiting"]).includes(result.code);
    if (isLate || (now && !canEdit(now.status))) {
      const why = tooLate(isLate ? result.code : "not_waiting", result.message);
      toast.error("Not saved", { id: `verb-${task.id}`, description: why });
      if (now) store.seed(now);
      router.push(page);
      return;
    }
    setSending(false);
    if (result.code === "changed_meanwhile" && now) {
      store.seed(now);
      setUnsaved(JSON.stringify(change, null, 2));
      setSeen(now);
      setTags(now.tags.join(", "));
      payload.fillIn(now.payload);
      payload.form.current?.scrollIntoView({ block: "start" });
      return;
    }
    payload.tellRefusal(result);
  };

  return (
    <div className="max-w-3xl">
      <Link href={page} className="inline-flex items-center gap-0.5 rounded-sm text-sm text-ink-faint hover:text-ink">
        <ChevronLeft aria-hidden className="-ml-1 size-4" /> The task
      </Link>
      <h1 className="mt-3 text-2xl font-semibold">
        {again ? "Correct" : "Edit"}: {kind.title ?? kind.kind}
      </h1>
      <p className="mt-1.5 max-w-2xl text-ink-soft">
        {again
          ? "It goes back to its line with what you change here, and starts with its first attempt. What became of it so far is kept."
          : "It has not started yet, so it can still be changed. It keeps its place in line and its time."}
      </p>
      <form
        ref={payload.form}
        noValidate
        aria-label={`Edit ${kind.kind}`}
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
        className="mt-6 flex scroll-mt-20 flex-col gap-5"
      >
        {unsaved !== undefined ? (
          <Notice tone="amber" title="This task was changed while you edited it. Nothing of yours was saved.">
            <span className="flex flex-wrap items-center gap-x-2">
              Below it stands as it is now.
              <span className="inline-flex items-center gap-1">
                What you had typed: <CopyButton text={unsaved} label="Copy what you had typed" />
              </span>
            </span>
          </Notice>
        ) : null}
        <TroubleNotice trouble={payload.trouble} />
        <PayloadCard form={payload} />
        <Card className="p-5 sm:p-6">
          <Field id={id} label="Tags" error={tagsError} hint={TAGS_HINT}>
            <Input
              id={id}
              data-pointer={`option:${TAGS}`}
              aria-invalid={tagsError ? true : undefined}
              aria-describedby={describedBy(id, TAGS_HINT, tagsError)}
              autoCapitalize="off"
              value={tags}
              onChange={(event) => setTags(event.target.value)}
            />
          </Field>
        </Card>
        <div className="sticky bottom-18 z-10 -mx-4 flex items-center gap-3 bg-gradient-to-t from-canvas from-70% to-transparent px-4 pt-6 pb-3 sm:static sm:mx-0 sm:bg-none sm:p-0">
          <Button type="submit" look="solid" size="lg" busy={sending} disabled={uploads > 0} className="max-sm:flex-1">
            {sending ? null : again ? <RotateCcw /> : <Save />}
            {uploads > 0 ? `Sending ${uploads} ${uploads === 1 ? "file" : "files"}…` : again ? "Try again" : "Save"}
          </Button>
          <Button asChild look="ghost" size="lg">
            <Link href={page}>Leave it</Link>
          </Button>
        </div>
      </form>
    </div>
  );
}
