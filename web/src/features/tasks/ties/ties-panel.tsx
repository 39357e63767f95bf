"use client";

import type { LinkedTask, PartOf, RollUp, Task } from "@tasktonic/client";
import { ArrowRight } from "lucide-react";
import Link from "next/link";
import type { ReactNode } from "react";
import { Card } from "@/components/ui/bits";
import { count } from "@/lib/format";
import { StatusFace } from "../status-face";
import { Graph } from "./graph";
import { type Ties, useTies } from "./use-ties";

/** What a task waits for, who waits for it, and how far its flow or batch is; nothing where it stands alone. */
export function TiesPanel({ task, initial }: { task: Task; initial: Ties }) {
  const { links, flow } = useTies(task, initial);
  const { part_of, gathers, waits_for, leads_to } = links;
  if (!part_of && !gathers && waits_for.length === 0 && leads_to.length === 0) return null;
  return (
    <Card className="flex flex-col gap-4 p-5" aria-label="Waits for and leads to">
      {gathers ? <Bar of={gathers} title={gathers.sort === "flow" ? "This flow" : "This batch"} /> : null}
      {part_of ? (
        <Bar
          of={part_of}
          title={
            <Link href={`/tasks/${part_of.id}`} className="underline underline-offset-2">
              {part_of.sort === "flow" ? "Part of a flow" : "Part of a batch"}
            </Link>
          }
        />
      ) : null}
      {waits_for.length > 0 || leads_to.length > 0 ? (
        <div className="grid gap-4 sm:grid-cols-2">
          <Linked title="Waits for" tasks={waits_for} none="Nothing" />
          <Linked title="Leads to" tasks={leads_to} none="Nothing" />
        </div>
      ) : null}
      {flow && flow.tasks.length > 0 ? <Graph flow={flow} /> : null}
    </Card>
  );
}

/** How many have ended, as one bar of what became of them. */
function Bar({ of, title }: { of: PartOf; title: ReactNode }) {
  const { total, completed, failed, cancelled } = of.roll_up;
  const ended = completed + failed + cancelled;
  return (
    <div className="flex flex-col gap-2">
      <p className="flex flex-wrap items-baseline justify-between gap-x-4 text-sm">
        <span className="font-medium">{title}</span>
        <span className="tabular text-ink-soft">{rollUpText(of.roll_up, of.sealed)}</span>
      </p>
      <div
        role="progressbar"
        aria-label="Tasks that have ended"
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={ended}
        aria-valuetext={rollUpText(of.roll_up, of.sealed)}
        className="flex h-2.5 overflow-hidden rounded-full bg-line"
      >
        <Share part={completed} of={total} className="bg-green" />
        <Share part={failed} of={total} className="bg-red" />
        <Share part={cancelled} of={total} className="bg-slate" />
      </div>
    </div>
  );
}

function Share({ part, of, className }: { part: number; of: number; className: string }) {
  return part > 0 ? <span className={className} style={{ width: `${(100 * part) / Math.max(1, of)}%` }} /> : null;
}

/** The numbers of a flow or batch in words. */
export function rollUpText({ total, completed, failed, cancelled }: RollUp, sealed: boolean): string {
  const more = [
    failed > 0 ? `${count(failed)} failed` : "",
    cancelled > 0 ? `${count(cancelled)} cancelled` : "",
    sealed ? "" : "open for more",
  ].filter(Boolean);
  return [`${count(completed)} of ${count(total)} completed`, ...more].join(", ");
}

/** What follows a failure, where it is not the usual. */
const RULE = { fail: "", ignore: "even if it fails", continue: "even if it fails, and knows" } as const;

function Linked({ title, tasks, none }: { title: string; tasks: LinkedTask[]; none: string }) {
  return (
    <section aria-label={title}>
      <h2 className="mb-1.5 text-sm font-medium">{title}</h2>
      {tasks.length === 0 ? <p className="text-sm text-ink-faint">{none}</p> : null}
      <ul className="flex flex-col gap-1.5">
        {tasks.map((task) => (
          <li key={task.id} className="flex flex-wrap items-center gap-x-2 text-sm">
            {task.status ? <StatusFace status={task.status} /> : <span className="text-ink-faint">Removed</span>}
            {task.status ? (
              <Link
                href={`/tasks/${task.id}`}
                className="max-w-full [overflow-wrap:anywhere] underline underline-offset-2"
              >
                {task.name ?? task.kind}
              </Link>
            ) : (
              <span className="font-mono text-xs text-ink-faint">{task.id}</span>
            )}
            {RULE[task.on_failure] ? (
              <span className="inline-flex items-center gap-1 text-xs text-ink-faint">
                <ArrowRight aria-hidden className="size-3" />
                {RULE[task.on_failure]}
              </span>
            ) : null}
          </li>
        ))}
      </ul>
    </section>
  );
}
