"use client";

import type { KindInfo, Me, QueueDetail } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { ChevronLeft } from "lucide-react";
import Link from "next/link";
import { type ReactNode, useCallback, useMemo } from "react";
import { Card } from "@/components/ui/bits";
import { Switch } from "@/components/ui/switch";
import { EVERYTHING, writeQuery } from "@/features/tasks/filters";
import { titlesOf } from "@/features/tasks/kinds";
import { count } from "@/lib/format";
import { useFresh } from "@/lib/fresh";
import { limitWords } from "./limits";
import { LimitsForm } from "./limits-form";
import { PauseNotice } from "./pause-notice";
import { PauseQueueDialog } from "./pause-queue-dialog";
import { PeopleIn } from "./people-in";
import { EMPTY_LANE, kindsText, operates, type Queues } from "./read";
import { StateChip } from "./state-chip";
import { useQueues } from "./use-queues";
import { laneWords, peopleWords, saysOf, stateOf, turnsWords } from "./words";

type Props = {
  name: string;
  user: Pick<Me, "role" | "scopes">;
  initial: Queues;
  detail: QueueDetail | undefined;
  kinds: KindInfo[];
};

/** One queue: how it is for whoever looks and, for operators, what holds there for others. */
export function QueueView({ name, user, initial, detail: before, kinds }: Props) {
  const { api } = useLive();
  const operator = operates(user, "limits:read");
  const changes = operates(user, "limits:change");
  const { queues, set, ask, asking, setAsking, pauseQueue, turn } = useQueues(initial, operator, name);
  const readDetail = useCallback((signal: AbortSignal) => api.queue(name, signal), [api, name]);
  const detail = useFresh(operator ? readDetail : undefined, before);
  const titleOf = useMemo(() => titlesOf(kinds), [kinds]);
  const row = queues.rows.find(({ queue }) => queue === name);
  const state = row ? stateOf(row, queues.pause) : "open";
  const lane = row?.lane ?? EMPTY_LANE;
  const mine = laneWords(lane, queues.more);
  const kindsHere = row ? kindsText(row, titleOf) : "";
  return (
    <div className="max-w-3xl">
      <Link
        href="/queues"
        className="inline-flex items-center gap-0.5 rounded-sm text-sm text-ink-faint hover:text-ink"
      >
        <ChevronLeft aria-hidden className="-ml-1 size-4" /> Queues
      </Link>
      <div className="mt-3 flex flex-wrap items-center gap-x-4 gap-y-1.5">
        <h1 className="text-2xl font-semibold [overflow-wrap:anywhere]">{name}</h1>
        <StateChip state={state} />
      </div>
      <p className="mt-1.5 max-w-2xl text-ink-soft">{saysOf(state, row?.turns)}</p>
      <PauseNotice
        pause={queues.pause}
        onPause={(now) => {
          set({ ...queues, pause: now });
          ask();
        }}
        className="mt-5"
      />
      <Card aria-label="For you" className="mt-5 p-5 sm:p-6">
        <dl className="grid grid-cols-2 gap-x-6 gap-y-4 sm:grid-cols-3">
          <Fact name="Your tasks here">
            {mine ? (
              <Link
                href={`/tasks${writeQuery({ ...EVERYTHING, queue: name })}`}
                prefetch={false}
                className="rounded-sm underline underline-offset-2"
              >
                {mine}
              </Link>
            ) : (
              "none"
            )}
          </Fact>
          <Fact name="Your limit">
            {row ? [`${count(row.waiting_max)} waiting`, limitWords(row)].filter(Boolean).join(", ") : "–"}
          </Fact>
          <Fact name="Your share">{row ? turnsWords(row.weight, row.turns) : "–"}</Fact>
          {kindsHere ? (
            <Fact name="Kinds of tasks" className="col-span-full">
              {kindsHere}
            </Fact>
          ) : null}
        </dl>
      </Card>
      {operator && detail.value ? (
        <>
          <Card aria-labelledby="everybody" className="mt-5 flex flex-col gap-5 p-5 sm:p-6">
            <div className="flex items-start justify-between gap-4">
              <div>
                <h2 id="everybody" className="text-base font-semibold">
                  For everybody
                </h2>
                <p className="mt-0.5 text-sm text-ink-soft">{peopleWords(detail.value)}.</p>
              </div>
              {/* biome-ignore lint/a11y/noLabelWithoutControl: the switch is a control, of another library */}
              <label className="flex items-center gap-2.5 text-sm font-medium">
                {row?.paused ? "Paused" : "On"}
                <Switch
                  aria-label={`${name} is on for everybody`}
                  checked={!row?.paused}
                  disabled={!changes}
                  onCheckedChange={(on) => turn({ queue: name }, on)}
                />
              </label>
            </div>
            <LimitsForm
              key={JSON.stringify([
                detail.value.waiting_max,
                detail.value.running_max,
                detail.value.rate,
                detail.value.running_total_max,
                detail.value.rate_total,
                detail.value.turns,
              ])}
              queue={detail.value}
              changes={changes}
              onSaved={(now) => {
                detail.set(now);
                ask();
              }}
            />
          </Card>
          <PeopleIn
            detail={detail.value}
            changes={changes}
            onChange={() => {
              detail.ask();
              ask();
            }}
          />
        </>
      ) : null}
      {asking ? (
        <PauseQueueDialog
          queue={asking}
          onClose={() => setAsking(undefined)}
          onYes={async () => {
            await pauseQueue(asking, true);
            detail.ask();
          }}
        />
      ) : null}
    </div>
  );
}

function Fact({ name, children, className }: { name: string; children: ReactNode; className?: string }) {
  return (
    <div className={`min-w-0 ${className ?? ""}`}>
      <dt className="text-xs text-ink-faint">{name}</dt>
      <dd className="tabular mt-0.5 text-sm font-medium [overflow-wrap:anywhere]">{children}</dd>
    </div>
  );
}
