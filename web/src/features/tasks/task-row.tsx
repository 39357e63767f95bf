"use client";

import { hasEnded, type Task } from "@tasktonic/client";
import { useTaskRow } from "@tasktonic/react";
import { Ellipsis } from "lucide-react";
import Link from "next/link";
import { memo } from "react";
import { Tag } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Checkbox } from "@/components/ui/checkbox";
import { LazyMenu } from "@/components/ui/lazy-menu";
import { ProgressBar } from "@/components/ui/progress-bar";
import { Ago, useNow } from "@/lib/clock";
import { cn } from "@/lib/cn";
import { duration, elapsed, progressText, total, when } from "@/lib/format";
import { useSilence } from "@/lib/line";
import { StatusFace } from "./status-face";
import { reasonText } from "./words";

/** The columns on a wide screen; the header of the list uses the same. */
export const ROW_GRID =
  "lg:grid lg:grid-cols-[1.25rem_7.5rem_minmax(0,1fr)_minmax(0,17rem)_6.5rem_5.5rem_2rem] lg:items-center lg:gap-x-4";
const TAGS_SHOWN = 3;

type RowProps = {
  id: string;
  /** What people call its kind. */
  titleOf: (kind: string) => string;
  initial?: Task | undefined;
  selected: boolean;
  onSelect: (id: string, selected: boolean, range: boolean) => void;
  left: boolean;
};

/** One task in the list. It wakes for its own task only; the list around it does not. */
export const TaskRow = memo(function TaskRow({ id, titleOf, initial, selected, onSelect, left }: RowProps) {
  const task = useTaskRow(id, initial);
  if (!task) return null;
  return (
    <li
      data-task={id}
      data-selected={selected || undefined}
      className={cn(
        "group relative flex items-start gap-3 border-b border-line px-4 py-3 transition-colors [contain-intrinsic-size:auto_64px] [content-visibility:auto] last:border-b-0 hover:bg-hover has-[a:focus-visible]:bg-hover data-selected:bg-hover lg:py-2.5",
        ROW_GRID,
        left && "opacity-60",
      )}
    >
      <Checkbox
        aria-label={`Select ${task.kind} ${id}`}
        checked={selected}
        onClick={(event) => {
          event.preventDefault();
          onSelect(id, !selected, event.shiftKey);
        }}
        className="z-10 mt-1 lg:mt-0"
      />
      <div className="contents max-lg:flex max-lg:min-w-0 max-lg:flex-1 max-lg:flex-col max-lg:gap-1.5">
        <div className="flex items-center justify-between gap-3 lg:contents">
          <StatusFace status={task.status} className="max-lg:order-2" />
          <Title task={task} title={titleOf(task.kind)} />
        </div>
        <Activity task={task} />
        <div className="flex items-center gap-2 text-xs text-ink-faint lg:contents lg:text-sm">
          <span className="order-1 lg:order-none">
            <Ago at={task.created_at} className="text-xs whitespace-nowrap text-ink-faint" />
          </span>
          <span className="tabular order-2 before:mr-2 before:content-['·'] empty:hidden lg:order-none lg:text-right lg:before:content-none lg:empty:block">
            <Took task={task} />
          </span>
        </div>
      </div>
      <RowVerbs task={task} />
    </li>
  );
});

function Title({ task, title }: { task: Task; title: string }) {
  return (
    <div className="flex min-w-0 flex-col gap-0.5 max-lg:order-1">
      <div className="flex min-w-0 items-center gap-2">
        <Link
          data-row-link
          href={`/tasks/${task.id}`}
          className="truncate text-base font-medium text-ink outline-none after:absolute after:inset-0 focus-visible:after:outline-2 focus-visible:after:-outline-offset-2 focus-visible:after:outline-ring"
        >
          {title}
        </Link>
        {task.tags.slice(0, TAGS_SHOWN).map((tag) => (
          <Tag key={tag} className="max-sm:hidden">
            {tag}
          </Tag>
        ))}
        {task.tags.length > TAGS_SHOWN ? (
          <span className="text-2xs text-ink-faint max-sm:hidden">+{task.tags.length - TAGS_SHOWN}</span>
        ) : null}
      </div>
      <span className="truncate font-mono text-2xs text-ink-faint">
        {title === task.kind ? null : <>{task.kind} · </>}
        {task.id}
      </span>
    </div>
  );
}

/** What is going on: the bar while it runs, the error once it failed, the reason for waiting. */
function Activity({ task }: { task: Task }) {
  const now = useNow(10_000);
  const running = task.status === "running" || task.status === "cancelling";
  if (running) {
    const far = progressText(task.progress);
    return (
      <div className="flex min-w-0 flex-col gap-1.5">
        <ProgressBar progress={task.progress} live label={`Progress of ${task.kind}`} />
        <p className="flex justify-between gap-3 text-xs text-ink-faint">
          <span className="truncate">{task.progress?.note ?? (far === undefined ? "Under way" : "")}</span>
          <span className="tabular shrink-0">{far}</span>
        </p>
      </div>
    );
  }
  if (task.error && !["completed", "queued"].includes(task.status)) {
    return (
      <p className="line-clamp-2 min-w-0 text-xs text-ink-soft" title={task.error.message}>
        {task.status === "retrying" && task.run_at ? (
          <span className="font-medium text-amber">{due(task.run_at, now)} · </span>
        ) : null}
        {task.error.message}
      </p>
    );
  }
  const line =
    task.status === "scheduled" && task.run_at
      ? `Starts ${due(task.run_at, now)}`
      : task.status === "cancelled"
        ? (reasonText(task) ?? "")
        : task.status === "completed"
          ? (total(task.progress) ?? "")
          : "";
  return <p className="min-w-0 truncate text-xs text-ink-faint first-letter:uppercase empty:max-lg:hidden">{line}</p>;
}

/** A time that has come is not past for a task that still waits for it. */
const due = (at: string, now: number): string => (Date.parse(at) <= now ? "now" : when(at, now));

function Took({ task }: { task: Task }) {
  if (!task.started_at) return null;
  if (task.ended_at) {
    return (
      <span className="text-xs" title={task.attempt > 1 ? "The last attempt" : undefined}>
        {duration(Date.parse(task.ended_at) - Date.parse(task.started_at))}
      </span>
    );
  }
  return hasEnded(task.status) ? null : <Elapsed since={task.started_at} />;
}

export function Elapsed({ since, className }: { since: string; className?: string }) {
  const now = useNow();
  const ms = Math.max(0, (useSilence() ?? now) - Date.parse(since));
  return <span className={cn("tabular text-xs text-ink-soft", className)}>{elapsed(ms)}</span>;
}

const loadRowMenu = () => import("./row-menu").then((module) => module.RowMenu);

function RowVerbs({ task }: { task: Task }) {
  return (
    <LazyMenu
      load={loadRowMenu}
      trigger={
        <Button
          look="ghost"
          size="icon-sm"
          aria-label={`Verbs for ${task.kind} ${task.id}`}
          className="z-10 -mr-1.5 text-ink-faint max-lg:-mt-0.5"
        >
          <Ellipsis />
        </Button>
      }
      props={{ task }}
    />
  );
}
