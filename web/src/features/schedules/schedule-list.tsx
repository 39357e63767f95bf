"use client";

import type { KindInfo, Schedule } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { CalendarPlus, Pencil, Play, Trash2 } from "lucide-react";
import Link from "next/link";
import { useEffect, useMemo, useState } from "react";
import { toast } from "sonner";
import { Card, Tag } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Dialog, DialogClose, DialogContent } from "@/components/ui/dialog";
import { Switch } from "@/components/ui/switch";
import { Bubbles } from "@/features/tasks/empty-states";
import { titlesOf } from "@/features/tasks/kinds";
import { call } from "@/lib/call";
import { Ago } from "@/lib/clock";
import { cn } from "@/lib/cn";
import { removeSchedule, restSchedule, runSchedule } from "./actions";
import { moment, PASSED, whenWords } from "./words";

/** The list is asked for anew this long after something was due, and at least this often. */
const AFTER_MS = 1_500;
const EVERY_MS = 30_000;
const SOON_MS = 2_000;

const GRID =
  "lg:grid lg:grid-cols-[minmax(0,1.1fr)_minmax(0,1.3fr)_9.5rem_8.5rem_2.75rem_6.5rem] lg:items-center lg:gap-x-4";

type Props = { initial: Schedule[]; kinds: KindInfo[] };

export function ScheduleList({ initial, kinds }: Props) {
  const { api } = useLive();
  const [schedules, setSchedules] = useState(initial);
  const [removing, setRemoving] = useState<Schedule>();
  const titleOf = useMemo(() => titlesOf(kinds), [kinds]);
  useEffect(() => setSchedules(initial), [initial]);

  useEffect(() => {
    const stop = new AbortController();
    const due = schedules.flatMap(({ next_at }) => (next_at ? [Date.parse(next_at)] : []));
    const away = Math.min(...due, Number.POSITIVE_INFINITY) - Date.now() + AFTER_MS;
    const timer = setTimeout(
      () => api.schedules(stop.signal).then(setSchedules, () => setSchedules((old) => [...old])),
      Math.min(EVERY_MS, Math.max(SOON_MS, away)),
    );
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [api, schedules]);

  const put = (changed: Schedule) =>
    setSchedules((old) => old.map((one) => (one.name === changed.name ? changed : one)));

  const rest = async (schedule: Schedule, rests: boolean) => {
    // Shown at once; what the server says counts.
    put({ ...schedule, status: rests ? "paused" : "active", next_at: null });
    const result = await call(() => restSchedule({ name: schedule.name, rests }));
    if (result.ok) {
      put(result.value);
      return;
    }
    put(schedule);
    toast.error(rests ? "Not paused" : "Not resumed", { description: result.message });
  };
  const run = async (schedule: Schedule) => {
    const result = await call(() => runSchedule({ name: schedule.name }));
    if (result.ok) {
      const { id } = result.value;
      toast.success("Handed over", {
        description: `One task of ${schedule.name}, beside its own times.`,
        action: { label: "Look", onClick: () => location.assign(`/tasks/${id}`) },
      });
      return;
    }
    toast.error("Not run", { description: result.message });
  };
  const remove = async (schedule: Schedule) => {
    const result = await call(() => removeSchedule({ name: schedule.name }));
    setRemoving(undefined);
    if (result.ok || result.code === "not_found") {
      setSchedules((old) => old.filter(({ name }) => name !== schedule.name));
      toast("Removed", { description: "Tasks that it made stay." });
      return;
    }
    toast.error("Not removed", { description: result.message });
  };

  if (schedules.length === 0) return <NoSchedules />;
  return (
    <>
      <Card aria-label="Schedules" className="overflow-hidden">
        <div
          aria-hidden
          className={cn(
            "border-b border-line bg-sunken px-4 py-2 text-xs font-medium text-ink-faint max-lg:hidden",
            GRID,
          )}
        >
          <span>Schedule</span>
          <span>When</span>
          <span>Next</span>
          <span>Last</span>
          <span>On</span>
          <span />
        </div>
        <ul>
          {schedules.map((schedule) => (
            <Row
              key={schedule.name}
              schedule={schedule}
              title={titleOf(schedule.task.kind)}
              onRest={rest}
              onRun={run}
              onRemove={setRemoving}
            />
          ))}
        </ul>
      </Card>
      {removing ? (
        <Dialog open onOpenChange={(open) => open || setRemoving(undefined)}>
          <DialogContent
            title={`Remove ${removing.name}?`}
            description="It comes no more. Tasks that it made stay."
            className="max-w-md"
          >
            <div className="flex justify-end gap-2 px-5 pt-4 pb-5">
              <DialogClose asChild>
                <Button look="ghost">Keep it</Button>
              </DialogClose>
              <Button look="danger" onClick={() => void remove(removing)}>
                Remove it
              </Button>
            </div>
          </DialogContent>
        </Dialog>
      ) : null}
    </>
  );
}

type RowProps = {
  schedule: Schedule;
  title: string;
  onRest: (schedule: Schedule, rests: boolean) => void;
  onRun: (schedule: Schedule) => void;
  onRemove: (schedule: Schedule) => void;
};

function Row({ schedule, title, onRest, onRun, onRemove }: RowProps) {
  const { name, status, next_at, last_at, last_task, passed, zone } = schedule;
  // What was passed over is told until a later one made a task.
  const trouble = passed && (!last_at || passed.at > last_at) ? passed : undefined;
  return (
    <li
      data-schedule={name}
      className={cn("relative flex flex-col gap-2 border-b border-line px-4 py-3 last:border-b-0 lg:py-2.5", GRID)}
    >
      <div className="min-w-0 max-lg:pr-14">
        <div className="flex min-w-0 items-center gap-2">
          <Link
            href={`/schedules/${encodeURIComponent(name)}`}
            className="truncate rounded-sm text-base font-medium text-ink hover:underline hover:underline-offset-2"
          >
            {name}
          </Link>
          {schedule.set ? <Tag>{schedule.set}</Tag> : null}
        </div>
        <p className="truncate text-xs text-ink-faint">{title}</p>
      </div>
      <div className="min-w-0">
        <p className="text-sm text-ink-soft first-letter:uppercase">{whenWords(schedule)}</p>
        {trouble ? (
          <p className="mt-0.5 text-xs text-amber" title={trouble.detail}>
            {moment(trouble.at, zone)} was passed over: {PASSED[trouble.reason]}.
          </p>
        ) : null}
      </div>
      <div className="text-sm max-lg:flex max-lg:items-baseline max-lg:gap-2">
        <span className="text-xs text-ink-faint lg:hidden">Next</span>
        {next_at ? (
          <>
            <Ago due at={next_at} className="block font-medium" />
            <span className="tabular block text-xs text-ink-faint">{moment(next_at, zone)}</span>
          </>
        ) : (
          <span className="text-ink-faint">{status === "ended" ? "It has ended" : "Paused"}</span>
        )}
      </div>
      <div className="text-sm max-lg:flex max-lg:items-baseline max-lg:gap-2">
        <span className="text-xs text-ink-faint lg:hidden">Last</span>
        {last_at && last_task ? (
          <Link href={`/tasks/${last_task}`} className="rounded-sm underline underline-offset-2 hover:text-ink">
            <Ago at={last_at} />
          </Link>
        ) : (
          <span className="text-ink-faint">not yet</span>
        )}
      </div>
      <Switch
        aria-label={`${name} is on`}
        checked={status === "active"}
        disabled={status === "ended"}
        onCheckedChange={(on) => onRest(schedule, !on)}
        className="max-lg:absolute max-lg:top-4 max-lg:right-4"
      />
      <div className="flex gap-1 max-lg:-ml-2 lg:justify-end">
        <Button
          look="ghost"
          size="icon-sm"
          aria-label={`Run ${name} now`}
          title="Run now"
          onClick={() => onRun(schedule)}
        >
          <Play />
        </Button>
        <Button asChild look="ghost" size="icon-sm">
          <Link href={`/schedules/${encodeURIComponent(name)}`} aria-label={`Change ${name}`} title="Change">
            <Pencil />
          </Link>
        </Button>
        <Button
          look="ghost"
          size="icon-sm"
          aria-label={`Remove ${name}`}
          title="Remove"
          onClick={() => onRemove(schedule)}
        >
          <Trash2 />
        </Button>
      </div>
    </li>
  );
}

function NoSchedules() {
  return (
    <Card className="flex flex-col items-center px-6 py-16 text-center">
      <Bubbles />
      <p className="mt-5 text-lg font-semibold">Nothing comes by itself yet</p>
      <p className="mt-1 max-w-sm text-sm text-ink-faint">
        A schedule makes a task each hour, each Monday at nine, or whenever you like, also while you are away.
      </p>
      <Button asChild look="solid" size="lg" className="mt-6">
        <Link href="/schedules/new">
          <CalendarPlus /> Make your first schedule
        </Link>
      </Button>
    </Card>
  );
}
