"use client";

import type { KindInfo, Me } from "@tasktonic/client";
import { ListChecks, Pause as PauseIcon, Settings2 } from "lucide-react";
import Link from "next/link";
import { useMemo } from "react";
import { Card } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Switch } from "@/components/ui/switch";
import { Bubbles } from "@/features/tasks/empty-states";
import { EVERYTHING, writeQuery } from "@/features/tasks/filters";
import { titlesOf } from "@/features/tasks/kinds";
import { cn } from "@/lib/cn";
import { count } from "@/lib/format";
import { heldWords, isNearlyFull } from "./bytes";
import { BytesCard } from "./bytes-card";
import { limitWords } from "./limits";
import { queueHref } from "./names";
import { PauseNotice } from "./pause-notice";
import { PauseQueueDialog } from "./pause-queue-dialog";
import { PausedPeople } from "./paused-people";
import { kindsText, operates, type QueueRow, type Queues } from "./read";
import { StateChip } from "./state-chip";
import { usePauseOwn } from "./use-pause";
import { useQueues } from "./use-queues";
import { laneWords, peopleWords, stateOf, turnsWords } from "./words";

const GRID = "lg:grid lg:grid-cols-[minmax(0,1.3fr)_11.5rem_minmax(0,1fr)_minmax(0,1fr)] lg:items-center lg:gap-x-4";
const GRID_OPERATOR =
  "lg:grid lg:grid-cols-[minmax(0,1.3fr)_11.5rem_minmax(0,1fr)_minmax(0,1fr)_minmax(0,1fr)_2.75rem_2rem] lg:items-center lg:gap-x-4";

type Props = { user: Pick<Me, "role" | "scopes">; initial: Queues; kinds: KindInfo[] };

/** The lines that tasks wait in, as they are for whoever looks. */
export function QueueList({ user, initial, kinds }: Props) {
  const operator = operates(user, "limits:read");
  const changes = operates(user, "limits:change");
  const { queues, set, ask, asking, setAsking, pauseQueue, turn } = useQueues(initial, operator);
  const own = usePauseOwn();
  const titleOf = useMemo(() => titlesOf(kinds), [kinds]);
  const { rows, pause, more, people } = queues;
  const pauseAll = async () => {
    const now = await own.pause(true);
    if (now) set({ ...queues, pause: now });
    ask();
  };
  return (
    <>
      <header className="flex items-center justify-between gap-4 pb-4">
        <h1 className="text-2xl font-semibold">Queues</h1>
        {pause.by_user ? null : (
          <Button busy={own.busy} onClick={() => void pauseAll()}>
            {own.busy ? null : <PauseIcon />} Pause my work
          </Button>
        )}
      </header>
      <p className="-mt-1 mb-4 max-w-2xl text-sm text-ink-soft">
        The lines that tasks wait in until a worker has room. In each of them people take turns, so that nobody's many
        tasks delay another's one. <Held held={queues.held} />
      </p>
      <PauseNotice
        pause={pause}
        onPause={(now) => {
          set({ ...queues, pause: now });
          ask();
        }}
        className="mb-4"
      />
      {rows.length === 0 ? (
        <NoQueues operator={operator} />
      ) : (
        <Card aria-label="Queues" className="overflow-hidden">
          <div
            aria-hidden
            className={cn(
              "border-b border-line bg-sunken px-4 py-2 text-xs font-medium text-ink-faint max-lg:hidden",
              operator ? GRID_OPERATOR : GRID,
            )}
          >
            <span>Queue</span>
            <span>State</span>
            <span>Your tasks</span>
            <span>Your limits</span>
            {operator ? (
              <>
                <span>Everybody</span>
                <span>On</span>
                <span />
              </>
            ) : null}
          </div>
          <ul>
            {rows.map((row) => (
              <Row
                key={row.queue}
                row={row}
                pause={pause}
                more={more}
                kinds={kindsText(row, titleOf) || (titleOf(row.queue) === row.queue ? "" : titleOf(row.queue))}
                operator={operator}
                {...(changes ? { onTurn: turn } : {})}
              />
            ))}
          </ul>
        </Card>
      )}
      {queues.limit ? <BytesCard limit={queues.limit} changes={changes} onChange={ask} /> : null}
      {people && operator ? <PausedPeople people={people} changes={changes} onChange={ask} /> : null}
      {asking ? (
        <PauseQueueDialog queue={asking} onClose={() => setAsking(undefined)} onYes={() => pauseQueue(asking, true)} />
      ) : null}
    </>
  );
}

type RowProps = {
  row: QueueRow;
  pause: Queues["pause"];
  more: boolean;
  kinds: string;
  operator: boolean;
  onTurn?: (row: QueueRow, on: boolean) => void;
};

function Row({ row, pause, more, kinds, operator, onTurn }: RowProps) {
  const { queue, lane } = row;
  const mine = laneWords(lane, more);
  const starts = limitWords(row);
  return (
    <li
      data-queue={queue}
      className={cn(
        "relative flex flex-col gap-1.5 border-b border-line px-4 py-3 last:border-b-0 lg:py-2.5",
        operator ? GRID_OPERATOR : GRID,
      )}
    >
      <div className={cn("min-w-0", operator && "max-lg:pr-14")}>
        <Link
          href={queueHref(queue)}
          className="block truncate rounded-sm text-base font-medium text-ink hover:underline hover:underline-offset-2"
          title={queue}
        >
          {queue}
        </Link>
        <p className="truncate text-xs text-ink-faint empty:hidden" title={kinds}>
          {kinds}
        </p>
      </div>
      <StateChip state={stateOf(row, pause)} />
      <p className={cn("tabular text-sm", !mine && "max-lg:hidden")}>
        <span className="mr-2 text-xs text-ink-faint lg:hidden">Your tasks</span>
        {mine ? (
          <Link
            href={`/tasks${writeQuery({ ...EVERYTHING, queue })}`}
            prefetch={false}
            className="rounded-sm font-medium underline underline-offset-2 hover:text-ink"
          >
            {mine}
          </Link>
        ) : (
          <span className="text-ink-faint">none</span>
        )}
      </p>
      <p className="tabular text-sm text-ink-soft">
        <span className="mr-2 text-xs text-ink-faint lg:hidden">Your limits</span>
        {count(row.waiting_max)} waiting
        {starts ? <span className="max-lg:before:content-[',_'] lg:block">{starts}</span> : null}
        {row.weight === 1 ? null : (
          <span className="text-xs text-ink-faint max-lg:before:content-[',_'] lg:block">
            {turnsWords(row.weight, row.turns)}
          </span>
        )}
      </p>
      {operator ? (
        <>
          <p className="tabular text-sm text-ink-soft">
            <span className="mr-2 text-xs text-ink-faint lg:hidden">Everybody</span>
            {row.all ? peopleWords(row.all) : "–"}
          </p>
          <Switch
            aria-label={`${queue} is on for everybody`}
            checked={!row.paused}
            disabled={!onTurn}
            onCheckedChange={(on) => onTurn?.(row, on)}
            className="max-lg:absolute max-lg:top-4 max-lg:right-4"
          />
          <Button asChild look="ghost" size="icon-sm" className="max-lg:hidden">
            <Link href={queueHref(queue)} aria-label={`Settings of ${queue}`} title="Settings">
              <Settings2 />
            </Link>
          </Button>
        </>
      ) : null}
    </li>
  );
}

/** What one's own tasks hold, and what to do when there is next to no room. */
function Held({ held }: { held: Queues["held"] }) {
  return (
    <span data-held>
      Your tasks hold {heldWords(held)}
      {isNearlyFull(held) ? (
        <>
          , so there is hardly room for more:{" "}
          <Link href="/tasks?status=completed" className="rounded-sm underline underline-offset-2 hover:text-ink">
            remove some that have ended
          </Link>
        </>
      ) : null}
      .
    </span>
  );
}

function NoQueues({ operator }: { operator: boolean }) {
  return (
    <Card className="flex flex-col items-center px-6 py-16 text-center">
      <Bubbles />
      <p className="mt-5 text-lg font-semibold">No queue yet</p>
      <p className="mt-1 max-w-md text-sm text-ink-faint">
        {operator ? (
          <>
            Queues come with the kinds of tasks that workers announce. Start one with{" "}
            <code className="font-mono text-[0.92em]">tasktonic work</code>, and its queues are here.
          </>
        ) : (
          "Queues come with the kinds of tasks that workers announce, and no worker has come forward. Ask whoever runs this installation to start one."
        )}
      </p>
      <Button asChild className="mt-6">
        <Link href="/tasks">
          <ListChecks /> To my tasks
        </Link>
      </Button>
    </Card>
  );
}
