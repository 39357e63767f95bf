"use client";

import type { Progress, Task, TaskPosition, Why } from "@tasktonic/client";
import { CalendarClock, Hourglass, Play } from "lucide-react";
import Link from "next/link";
import { useRef, useState } from "react";
import { Card, Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { ProgressBar } from "@/components/ui/progress-bar";
import { Ago, useNow } from "@/lib/clock";
import { duration, fraction, progressParts, progressText, when } from "@/lib/format";
import { useSilence } from "@/lib/line";
import { isGroup } from "../kinds";
import { useVerbs, verbsFor } from "../verbs";
import { hasExpired, reasonText } from "../words";
import { InLine } from "./in-line";
import { WhyNot } from "./why-not";

/** What is going on right now, in one glance: the bar, the numbers, or why nothing moves. */
export function ProgressPanel(props: { task: Task; position?: TaskPosition | undefined; why?: Why | undefined }) {
  const { task, position, why } = props;
  switch (task.status) {
    case "running":
    case "cancelling":
      return <Running task={task} />;
    case "retrying":
      return (
        <Notice tone="amber" title={task.error?.message ?? "An attempt failed"}>
          <Due task={task} what={`Attempt ${task.attempt + 1} of ${task.attempts_max}`} />
        </Notice>
      );
    case "failed":
      return (
        <Notice title={task.error?.message ?? "This task failed"}>
          {task.error ? <span className="mr-2 font-mono text-xs">{task.error.code}</span> : null}
          {task.reason ? <span className="inline-block first-letter:uppercase">{reasonText(task)}</span> : null}
        </Notice>
      );
    case "scheduled":
      return <Later task={task} />;
    case "queued":
      return (
        <InLine task={task} {...(position ? { initial: position } : {})} {...(why ? { why } : {})}>
          <Expiry task={task} />
        </InLine>
      );
    case "waiting":
      // How far its tasks are stands right below.
      if (isGroup(task.kind)) return null;
      return (
        <WhyNot icon={Hourglass} title="It waits for other tasks to end.">
          <p className="mt-0.5 empty:hidden">
            <Expiry task={task} />
          </p>
        </WhyNot>
      );
    case "cancelled":
      if (hasExpired(task)) {
        return <Quiet>Nobody took this task in time, so it was not started. You can try it again.</Quiet>;
      }
      return <Quiet>{sentence(reasonText(task) ?? "Stopped on request")}</Quiet>;
    case "completed":
      return null;
    default:
      return task.status satisfies never;
  }
}

/** A task for later: when, and how to have it sooner. */
function Later({ task }: { task: Task }) {
  const { move } = useVerbs();
  const [busy, setBusy] = useState(false);
  const start = async () => {
    setBusy(true);
    await move(task.id, { delay_ms: 0 });
    setBusy(false);
  };
  return (
    <WhyNot
      icon={CalendarClock}
      title={<Due task={task} what="This task" />}
      actions={
        <>
          {verbsFor(task).move ? (
            <Button busy={busy} onClick={() => void start()}>
              {busy ? null : <Play />} Start it now
            </Button>
          ) : null}
          {task.schedule ? (
            <Button asChild look="ghost">
              <Link href={`/schedules/${encodeURIComponent(task.schedule.name)}`}>Look at its schedule</Link>
            </Button>
          ) : null}
        </>
      }
    >
      <p className="mt-0.5 empty:hidden">
        <Expiry task={task} />
      </p>
    </WhyNot>
  );
}

function Running({ task }: { task: Task }) {
  const { progress } = task;
  const silentSince = useSilence();
  const part = fraction(progress);
  const parts = progress ? progressParts(progress) : undefined;
  return (
    <Card className="p-5 sm:p-6">
      <div className="flex flex-wrap items-end justify-between gap-x-6 gap-y-1">
        <p className="tabular min-w-0">
          {parts && part !== undefined ? (
            <>
              <span className="text-2xl font-semibold tracking-tight">{parts.done}</span>
              <span className="text-ink-soft">
                {" "}
                of {parts.total} {parts.unit}
              </span>
            </>
          ) : (
            <span className="text-lg font-semibold">{progressText(progress) ?? "Under way"}</span>
          )}
        </p>
        <p className="tabular text-sm text-ink-faint">
          {silentSince !== undefined ? (
            <>
              Last heard of <Ago at={new Date(silentSince).toISOString()} />
            </>
          ) : task.status === "cancelling" ? (
            "Stopping at its next safe place"
          ) : (
            <TimeLeft key={task.attempt} progress={progress} since={task.started_at} />
          )}
        </p>
      </div>
      <ProgressBar progress={progress} live label={`Progress of ${task.kind}`} className="mt-3 h-2.5" />
      {progress?.phase || progress?.note ? (
        <p className="mt-2.5 truncate text-sm text-ink-soft">
          {progress.phase ? <span className="mr-2 font-medium text-ink">{progress.phase}</span> : null}
          {progress.note}
        </p>
      ) : null}
    </Card>
  );
}

/** Enough has been done to say how long the rest takes. */
const PART_MIN = 0.05;
const ELAPSED_MIN_MS = 3_000;

function TimeLeft({ progress, since }: { progress: Progress | null; since: string | null }) {
  const now = useNow();
  const last = useRef<{ part: number; at: number; leftMs: number }>(undefined);
  const part = fraction(progress);
  if (!since || !progress || part === undefined || part < PART_MIN || part >= 1) return null;
  const elapsed = now - Date.parse(since);
  if (elapsed < ELAPSED_MIN_MS) return null;
  // Counted anew with each step and down in between, so that a slow step does not make the rest grow.
  if (last.current?.part !== part) {
    last.current = { part, at: now, leftMs: (elapsed / part) * (1 - part) };
  }
  const leftMs = last.current.leftMs - (now - last.current.at);
  return leftMs < 1_500 ? "about to end" : `about ${duration(Math.round(leftMs / 1_000) * 1_000)} left`;
}

function Due({ task, what }: { task: Task; what: string }) {
  const now = useNow();
  const silentSince = useSilence();
  const { run_at } = task;
  if (!run_at) return `${what} starts soon.`;
  // Whether it has started is what the server would say; our clock alone does not know.
  if (Date.parse(run_at) <= now) return silentSince === undefined ? `${what} is due now.` : `${what} was due by now.`;
  return (
    <span className="tabular">
      {what} {silentSince === undefined ? "starts" : "is to start"} {when(run_at, now)}.
    </span>
  );
}

/** Until when somebody has to take it. */
function Expiry({ task: { expires_at } }: { task: Task }) {
  const now = useNow();
  if (!expires_at) return null;
  // That it is over is for the server to say.
  if (Date.parse(expires_at) <= now) return "Its time to be started is over.";
  return (
    <span className="tabular">
      It ends <time dateTime={expires_at}>{when(expires_at, now)}</time> if nobody has started it by then.
    </span>
  );
}

const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`);

function Quiet({ children }: { children: React.ReactNode }) {
  return (
    <p className="rounded-lg border border-line bg-sunken px-4 py-3 text-sm text-ink-soft first-letter:uppercase">
      {children}
    </p>
  );
}
