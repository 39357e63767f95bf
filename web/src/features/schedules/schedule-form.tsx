"use client";

import type { CatchUp, KindInfo, Schedule, SubmitRequest } from "@tasktonic/client";
import { ChevronLeft, Save } from "lucide-react";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useEffect, useId, useState } from "react";
import { toast } from "sonner";
import { Card } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { describedBy, Field, Input, NativeSelect } from "@/components/ui/field";
import { tagsOf } from "@/features/submit/options";
import { PayloadCard, TroubleNotice, usePayloadForm } from "@/features/submit/payload-form";
import { call } from "@/lib/call";
import { addSchedule, changeSchedule } from "./actions";
import { nameFor, SCHEDULE_NAME } from "./names";
import { timingOf, useOwnZone, WhenFields, whenOf } from "./when-fields";
import { CATCH_UP } from "./words";

const NAME_HINT = "Letters, digits, dots, dashes and underscores";
const NAME_WRONG = "Only letters, digits, dots, dashes and underscores, 1 to 64 of them: no spaces.";
const TAGS_HINT = "With commas between them";

type Props = { kind: KindInfo; schedule: Schedule | undefined };

/** A schedule made or changed: when it comes, and what its tasks are given. */
export function ScheduleForm({ kind, schedule }: Props) {
  const router = useRouter();
  const id = useId();
  const zone = useOwnZone();
  const payload = usePayloadForm(kind.schema, schedule?.task.payload ?? kind.example);
  const [name, setName] = useState(schedule?.name ?? nameFor(kind.kind));
  const [when, setWhen] = useState(() => whenOf(schedule, "UTC"));
  const [catchUp, setCatchUp] = useState<CatchUp>(schedule?.catch_up ?? "one");
  const [tags, setTags] = useState((schedule?.task.tags ?? []).join(", "));
  const [sending, setSending] = useState(false);
  const errors = payload.trouble.options;

  // The server that rendered this does not know where the person's clock is.
  useEffect(() => {
    if (!schedule) setWhen((old) => (old.zone === "UTC" ? { ...old, zone } : old));
  }, [schedule, zone]);

  const submit = async () => {
    const wrong: Record<string, string> = SCHEDULE_NAME.test(name) ? {} : { "/name": NAME_WRONG };
    if (payload.isWrong(wrong)) return;
    const { payload: _, tags: __, kind: ___, ...more } = schedule?.task ?? ({} as Partial<SubmitRequest>);
    const request = {
      name,
      ...(timingOf(when) as Record<string, never>),
      catch_up: catchUp,
      ...(schedule ? { version: schedule.version } : {}),
      task: { ...more, kind: kind.kind, payload: payload.built.payload, tags: tagsOf(tags) },
    };
    setSending(true);
    payload.forget();
    const result = await call(() => (schedule ? changeSchedule(request) : addSchedule(request)));
    if (result.ok) {
      toast.success(schedule ? "Saved" : "Scheduled", {
        description: result.value.status === "paused" ? "It rests until you resume it." : result.value.words,
      });
      router.push("/schedules");
      router.refresh();
      return;
    }
    setSending(false);
    const fields = Object.entries(result.fields ?? {}).map(([at, detail]) => [at.replace(/^\/task(?=\/)/, ""), detail]);
    payload.tellRefusal({
      code: "submission_invalid",
      message:
        result.code === "changed_meanwhile"
          ? "This schedule changed meanwhile. Nothing was saved; reload to see it as it is now."
          : result.message,
      fields: Object.fromEntries(fields) as Record<string, string>,
    });
  };

  return (
    <div className="max-w-3xl">
      <Link
        href={schedule ? "/schedules" : "/schedules/new"}
        className="inline-flex items-center gap-0.5 rounded-sm text-sm text-ink-faint hover:text-ink"
      >
        <ChevronLeft aria-hidden className="-ml-1 size-4" /> {schedule ? "Schedules" : "All kinds"}
      </Link>
      <h1 className="mt-3 text-2xl font-semibold break-words">
        {schedule ? schedule.name : `Schedule: ${kind.title ?? kind.kind}`}
      </h1>
      <p className="mt-1.5 max-w-2xl text-ink-soft">
        {schedule ? `Runs ${kind.title ?? kind.kind}. ` : ""}At each of its times it makes one task, which you find
        among yours.
      </p>
      <form
        ref={payload.form}
        noValidate
        aria-label={schedule ? `Change ${schedule.name}` : `Schedule ${kind.kind}`}
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
        className="mt-6 flex scroll-mt-20 flex-col gap-5"
      >
        <TroubleNotice trouble={payload.trouble} />
        {schedule ? null : (
          <Card className="p-5 sm:p-6">
            <Field id={`${id}name`} label="Name" hint={NAME_HINT} error={errors["/name"]}>
              <Input
                id={`${id}name`}
                data-pointer="option:/name"
                aria-invalid={errors["/name"] ? true : undefined}
                aria-describedby={describedBy(`${id}name`, NAME_HINT, errors["/name"])}
                autoCapitalize="off"
                autoComplete="off"
                value={name}
                onChange={(event) => setName(event.target.value)}
              />
            </Field>
          </Card>
        )}
        <WhenFields when={when} onChange={setWhen} errors={errors} />
        <PayloadCard form={payload} />
        <Card className="grid gap-5 p-5 sm:grid-cols-2 sm:p-6">
          <Field
            id={`${id}missed`}
            label="If times are missed"
            hint="Because nothing was running then. What comes while it is paused is never made up for."
          >
            <NativeSelect
              id={`${id}missed`}
              value={catchUp}
              onChange={(event) => setCatchUp(event.target.value as CatchUp)}
            >
              {(Object.keys(CATCH_UP) as CatchUp[]).map((value) => (
                <option key={value} value={value}>
                  {CATCH_UP[value]}
                </option>
              ))}
            </NativeSelect>
          </Field>
          <Field id={`${id}tags`} label="Tags of its tasks" optional hint={TAGS_HINT} error={errors["/tags"]}>
            <Input
              id={`${id}tags`}
              data-pointer="option:/tags"
              aria-invalid={errors["/tags"] ? true : undefined}
              autoCapitalize="off"
              value={tags}
              onChange={(event) => setTags(event.target.value)}
            />
          </Field>
        </Card>
        <div className="sticky bottom-18 z-10 -mx-4 flex items-center gap-3 bg-gradient-to-t from-canvas from-70% to-transparent px-4 pt-6 pb-3 sm:static sm:mx-0 sm:bg-none sm:p-0">
          <Button type="submit" look="solid" size="lg" busy={sending} className="max-sm:flex-1">
            {sending ? null : <Save />}
            {schedule ? "Save" : "Schedule it"}
          </Button>
          <Button asChild look="ghost" size="lg">
            <Link href="/schedules">Leave it</Link>
          </Button>
        </div>
      </form>
    </div>
  );
}
