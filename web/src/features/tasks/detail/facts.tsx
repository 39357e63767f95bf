"use client";

import { hasEnded, type Task } from "@tasktonic/client";
import type { ReactNode } from "react";
import { Ago } from "@/lib/clock";
import { duration } from "@/lib/format";
import { Elapsed } from "../task-row";

/** The short facts, in the order people ask for them. */
export function Facts({ task }: { task: Task }) {
  const running = task.started_at !== null && !hasEnded(task.status);
  return (
    <dl className="grid grid-cols-2 gap-x-6 gap-y-4 sm:grid-cols-3 lg:grid-cols-6">
      <Fact name="Attempt">
        {task.attempt > 0 ? `${task.attempt} of ${task.attempts_max}` : `none of ${task.attempts_max} yet`}
      </Fact>
      <Fact name="Submitted">
        <Ago at={task.created_at} />
      </Fact>
      <Fact name="Started">{task.started_at ? <Ago at={task.started_at} /> : "not yet"}</Fact>
      <Fact name={running ? "Running for" : "Took"}>
        {task.started_at && task.ended_at ? (
          duration(Date.parse(task.ended_at) - Date.parse(task.started_at))
        ) : running && task.started_at ? (
          <Elapsed since={task.started_at} className="text-sm text-ink" />
        ) : (
          "–"
        )}
      </Fact>
      <Fact name="Queue">
        <span className="font-mono text-xs">{task.queue}</span>
      </Fact>
      <Fact name="Worker">
        <span className="font-mono text-xs">{task.worker ?? "–"}</span>
      </Fact>
      {task.idempotency_key ? (
        <Fact name="Idempotency key">
          <span className="font-mono text-xs">{task.idempotency_key}</span>
        </Fact>
      ) : null}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="min-w-0">
      <dt className="text-xs text-ink-faint">{name}</dt>
      <dd className="tabular mt-0.5 truncate text-sm font-medium">{children}</dd>
    </div>
  );
}
