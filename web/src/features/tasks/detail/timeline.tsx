"use client";

import { type Attempt, hasEnded, type Task } from "@tasktonic/client";
import { CalendarPlus, Flag, type LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { Ago } from "@/lib/clock";
import { cn } from "@/lib/cn";
import { duration } from "@/lib/format";
import { OUTCOME_FACE, OutcomeMark, STATUS_FACE, toneText, toneWash } from "../status-face";
import { Elapsed } from "../task-row";
import { reasonText } from "../words";

/** What happened, in order: handed over, each attempt with its true times, the end. */
export function Timeline({ task, attempts }: { task: Task; attempts: Attempt[] }) {
  return (
    <ol className="relative flex max-w-3xl flex-col before:absolute before:top-4 before:bottom-4 before:left-[15px] before:w-px before:bg-line-strong">
      <Step icon={CalendarPlus} look="bg-sunken text-ink-soft" title="Submitted" at={task.created_at}>
        {task.status === "scheduled" && task.run_at ? (
          <p>
            To start <Ago at={task.run_at} due />
          </p>
        ) : null}
        {task.expires_at && !hasEnded(task.status) ? (
          <p>
            Ends <Ago at={task.expires_at} due /> if not started
          </p>
        ) : null}
      </Step>
      {attempts.map((attempt, index) => {
        const before = index === 0 ? task.created_at : attempts[index - 1]?.ended_at;
        const started = attempt.started_at;
        const waitMs = before && started ? Date.parse(started) - Date.parse(before) : undefined;
        const face = OUTCOME_FACE[attempt.outcome];
        return (
          <Step
            key={`${attempt.number}-${started ?? index}`}
            icon={face.icon}
            look={cn(toneWash(face.tone), toneText(face.tone))}
            turns={face.turns}
            title={
              <>
                Attempt {attempt.number} <OutcomeMark outcome={attempt.outcome} className="ml-1 [&_svg]:hidden" />
              </>
            }
            at={started}
          >
            <dl className="flex flex-wrap gap-x-6 gap-y-1">
              {waitMs === undefined ? null : <Fact name="waited">{duration(Math.max(0, waitMs))}</Fact>}
              {attempt.ended_at && attempt.duration_ms !== null ? (
                <Fact name={attempt.outcome === "lost" ? "noticed after" : "took"}>
                  {duration(attempt.duration_ms)}
                </Fact>
              ) : !attempt.ended_at && started ? (
                <Fact name="running for">
                  <Elapsed since={started} />
                </Fact>
              ) : null}
              {attempt.ended_at ? (
                <Fact name="ended">
                  <Ago at={attempt.ended_at} />
                </Fact>
              ) : null}
              {attempt.worker ? (
                <Fact name="worker">
                  <span className="font-mono">{attempt.worker}</span>
                </Fact>
              ) : null}
            </dl>
            {attempt.error ? (
              <p className="mt-2 max-w-prose rounded-md bg-red-wash px-3 py-2 text-sm text-ink">
                <span className="mr-2 font-mono text-xs text-red">{attempt.error.code}</span>
                {attempt.error.message}
              </p>
            ) : null}
          </Step>
        );
      })}
      {task.status === "retrying" && task.run_at ? (
        <Step
          icon={STATUS_FACE.retrying.icon}
          look={cn(toneWash("amber"), toneText("amber"))}
          title={`Attempt ${task.attempt + 1} is due`}
          at={task.run_at}
          due
        />
      ) : null}
      {hasEnded(task.status) && task.ended_at ? (
        <Step
          icon={Flag}
          look={cn(toneWash(STATUS_FACE[task.status].tone), toneText(STATUS_FACE[task.status].tone))}
          title={STATUS_FACE[task.status].label}
          at={task.ended_at}
        >
          {task.reason ? <p className="first-letter:uppercase">{reasonText(task)}</p> : null}
        </Step>
      ) : null}
    </ol>
  );
}

function Step(props: {
  icon: LucideIcon;
  look: string;
  turns?: boolean | undefined;
  title: ReactNode;
  at: string | null;
  /** It may lie ahead. */
  due?: boolean;
  children?: ReactNode;
}) {
  const Icon = props.icon;
  return (
    <li className="relative flex gap-4 pb-6 last:pb-0">
      <span className="z-10 grid size-8 shrink-0 place-items-center rounded-full bg-canvas">
        <span className={cn("grid size-8 place-items-center rounded-full", props.look)}>
          <Icon aria-hidden className={cn("size-4", props.turns && "animate-slow-spin")} />
        </span>
      </span>
      <div className="min-w-0 flex-1 pt-1">
        <p className="flex flex-wrap items-baseline justify-between gap-x-4 text-base font-medium">
          <span>{props.title}</span>
          {props.at ? (
            <Ago at={props.at} due={props.due ?? false} className="text-xs font-normal text-ink-faint" />
          ) : null}
        </p>
        <div className="mt-1 text-xs text-ink-soft empty:hidden">{props.children}</div>
      </div>
    </li>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex gap-1.5">
      <dt className="text-ink-faint">{name}</dt>
      <dd className="tabular">{children}</dd>
    </div>
  );
}
