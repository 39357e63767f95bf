"use client";

import { type Attempt, hasEnded, type Task } from "@tasktonic/client";
import Link from "next/link";
import type { ReactNode } from "react";
import { queueHref } from "@/features/queues/names";
import { Ago } from "@/lib/clock";
import { duration } from "@/lib/format";
import { PRIORITIES } from "../priorities";
import { Elapsed } from "../task-row";
import { isOwnKey } from "../words";
import { firstStart } from "./use-attempts";

/** The short facts, in the order people ask for them. Times are those of the whole task, not of its last attempt. */
export function Facts({ task, attempts }: { task: Task; attempts: Attempt[] }) {
  const started = firstStart(attempts) ?? task.started_at;
  return (
    <dl className="grid grid-cols-2 gap-x-6 gap-y-4 sm:grid-cols-3 lg:grid-cols-6">
      <Fact name="Attempt">
        {task.attempt > 0 ? `${task.attempt} of ${task.attempts_max}` : `none of ${task.attempts_max} yet`}
      </Fact>
      <Fact name="Submitted">
        <Ago at={task.created_at} />
      </Fact>
      <Fact name="Started">{started ? <Ago at={started} /> : "not yet"}</Fact>
      <Span task={task} started={started} last={attempts.at(-1)} />
      <Fact name="Queue">
        <Link
          href={queueHref(task.queue)}
          prefetch={false}
          title={task.queue}
          className="font-mono text-xs underline underline-offset-2"
        >
          {task.queue}
        </Link>
      </Fact>
      <Fact name="Worker">
        <span className="font-mono text-xs">{task.worker ?? "–"}</span>
      </Fact>
      {task.needs?.length ? (
        <Fact name="Only on workers with" className="col-span-full">
          <span className="font-mono text-xs">{task.needs.join(", ")}</span>
        </Fact>
      ) : null}
      {task.priority && task.priority !== "normal" ? (
        <Fact name="Priority" className="col-span-full">
          {PRIORITIES[task.priority].label}
          <span className="whitespace-normal font-normal text-ink-soft">: {PRIORITIES[task.priority].says}</span>
        </Fact>
      ) : null}
      {task.schedule ? (
        <Fact name="Made by the schedule" className="col-span-full">
          <Link href={`/schedules/${encodeURIComponent(task.schedule.name)}`} className="underline underline-offset-2">
            {task.schedule.name}
          </Link>
          {task.schedule.at ? null : <span className="font-normal text-ink-soft">, because somebody asked for it</span>}
        </Fact>
      ) : null}
      {task.idempotency_key && !isOwnKey(task.idempotency_key) ? (
        <Fact name="Idempotency key" className="col-span-full">
          <span className="font-mono text-xs whitespace-normal break-all">{task.idempotency_key}</span>
        </Fact>
      ) : null}
      {task.serial_key ? (
        <Fact name="One at a time with" className="col-span-full">
          <span className="font-mono text-xs whitespace-normal break-all">{task.serial_key}</span>
        </Fact>
      ) : null}
    </dl>
  );
}

/** How long: of all of it once it has ended, of the attempt while one runs, of the last one in between. */
function Span({ task, started, last }: { task: Task; started: string | null; last: Attempt | undefined }) {
  if (hasEnded(task.status)) {
    const ms = started && task.ended_at ? Date.parse(task.ended_at) - Date.parse(started) : undefined;
    return <Fact name={task.attempt > 1 ? "Took in all" : "Took"}>{ms === undefined ? "–" : duration(ms)}</Fact>;
  }
  if (task.started_at && (task.status === "running" || task.status === "cancelling")) {
    return (
      <Fact name="Running for">
        <Elapsed since={task.started_at} className="text-sm text-ink" />
      </Fact>
    );
  }
  if (last?.duration_ms == null) return <Fact name="Took">–</Fact>;
  return (
    <Fact name={last.outcome === "lost" ? "Loss noticed after" : "Last attempt took"}>
      {duration(last.duration_ms)}
    </Fact>
  );
}

function Fact({ name, children, className }: { name: string; children: ReactNode; className?: string }) {
  return (
    <div className={`min-w-0 ${className ?? ""}`}>
      <dt className="text-xs text-ink-faint">{name}</dt>
      <dd className="tabular mt-0.5 truncate text-sm font-medium">{children}</dd>
    </div>
  );
}
