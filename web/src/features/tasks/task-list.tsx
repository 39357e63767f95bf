"use client";

import type { Counts, KindInfo, TaskFilter, TaskPage } from "@tasktonic/client";
import { useTasks } from "@tasktonic/react";
import { ArrowUp } from "lucide-react";
import { useRouter } from "next/navigation";
import { useCallback, useEffect, useMemo, useRef, useState, useTransition } from "react";
import { Card, Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Checkbox } from "@/components/ui/checkbox";
import { cn } from "@/lib/cn";
import { useKeys } from "@/lib/keys";
import { DeadLetters } from "./dead-letters";
import { FirstTask, NothingHere } from "./empty-states";
import { EVERYTHING, isNarrowed, type ListQuery, writeQuery } from "./filters";
import { learnKinds, titlesOf } from "./kinds";
import { FilterBar, StatusTabs } from "./list-controls";
import { SelectionBar } from "./selection-bar";
import { ROW_GRID, TaskRow } from "./task-row";
import { useVerbs } from "./verbs";

/** Rows that no longer match leave this long after, and only while nobody is at the list. */
const SWEEP_MS = 4_000;

type Props = {
  user: string;
  query: ListQuery;
  filter: TaskFilter;
  initial: TaskPage;
  counts: Counts;
  kinds: KindInfo[];
};

export function TaskList({ user, query, filter, initial, counts, kinds }: Props) {
  const router = useRouter();
  const [moving, startMove] = useTransition();
  const list = useTasks(filter, { initial });
  const { tryAgain } = useVerbs();
  const box = useRef<HTMLUListElement>(null);
  const { selected, select, selectAll, clear } = useSelection(list.ids);
  const titleOf = useMemo(() => titlesOf(kinds), [kinds]);
  useEffect(() => learnKinds(kinds), [kinds]);
  const first = useMemo(() => new Map(initial.tasks.map((task) => [task.id, task])), [initial]);
  const left = useMemo(() => new Set(list.left), [list.left]);

  useSweep(box, list.left.length > 0 && selected.size === 0, list.sweep);

  const go = useCallback(
    (next: ListQuery) => startMove(() => router.replace(`/tasks${writeQuery(next)}`, { scroll: false })),
    [router],
  );

  useKeys({
    j: () => step(box.current, 1),
    k: () => step(box.current, -1),
    x: () => {
      const id = focusedId(box.current);
      if (id) select(id, !selected.has(id), false);
    },
    r: () => {
      const id = focusedId(box.current);
      if (id) void tryAgain(id);
    },
    "/": () => document.getElementById("task-search")?.focus(),
  });

  const nothingEver = list.ids.length === 0 && counts.all === 0 && !isNarrowed(query) && query.status === "all";
  return (
    <div className="flex flex-col gap-4">
      <StatusTabs query={query} counts={counts} />
      <FilterBar query={query} kinds={kinds.map((kind) => kind.kind)} titleOf={titleOf} onChange={go} />
      {query.status === "failed" && list.ids.length > 0 ? <DeadLetters filter={filter} /> : null}
      <Pill n={list.fresh} onShow={list.refresh} />
      <Card
        aria-label="Tasks"
        aria-busy={moving}
        className={cn("overflow-hidden transition-opacity", moving && "opacity-60")}
      >
        {list.ids.length > 0 ? (
          <>
            <ListHead
              all={list.ids.length > 0 && selected.size === list.ids.length}
              some={selected.size > 0}
              onAll={selectAll}
            />
            <ul ref={box}>
              {list.ids.map((id) => (
                <TaskRow
                  key={id}
                  id={id}
                  titleOf={titleOf}
                  initial={first.get(id)}
                  selected={selected.has(id)}
                  onSelect={select}
                  left={left.has(id)}
                />
              ))}
            </ul>
          </>
        ) : nothingEver ? (
          <FirstTask user={user} kinds={kinds} />
        ) : (
          <NothingHere
            tab={query.status}
            unread={list.hasMore}
            onClear={isNarrowed(query) ? () => go({ ...EVERYTHING, status: query.status }) : undefined}
          />
        )}
      </Card>
      {list.error ? <Notice title="The next page could not be read">{list.error.message}</Notice> : null}
      {list.hasMore ? (
        <Button className="self-center" busy={list.loading} onClick={() => void list.loadMore()}>
          Load more
        </Button>
      ) : list.ids.length > 12 ? (
        <p className="text-center text-xs text-ink-faint">That is all of them.</p>
      ) : null}

      {selected.size > 0 ? (
        <SelectionBar
          ids={[...selected]}
          filter={filter}
          offersAll={list.hasMore && selected.size === list.ids.length}
          onClear={clear}
        />
      ) : null}
    </div>
  );
}

/** New rows wait here, so that nothing moves under a pointer. */
function Pill({ n, onShow }: { n: number; onShow: () => void }) {
  return (
    <div aria-live="polite" className="pointer-events-none sticky top-16 z-20 -my-2 flex h-0 justify-center">
      {n > 0 ? (
        <button
          type="button"
          data-slot="new-pill"
          onClick={onShow}
          className="pointer-events-auto flex h-8 animate-rise items-center gap-1.5 rounded-full bg-citrus px-3.5 text-sm font-medium text-on-citrus shadow-float hover:bg-citrus-deep"
        >
          <ArrowUp aria-hidden className="size-4" />
          <span className="tabular">{n} new</span>
        </button>
      ) : null}
    </div>
  );
}

function ListHead(props: { all: boolean; some: boolean; onAll: (all: boolean) => void }) {
  return (
    <div
      className={cn(
        "flex items-center gap-3 border-b border-line bg-sunken px-4 py-2 text-xs font-medium text-ink-faint",
        ROW_GRID,
      )}
    >
      <Checkbox
        aria-label="Select all tasks in the list"
        checked={props.all ? true : props.some ? "indeterminate" : false}
        onCheckedChange={(checked) => props.onAll(checked === true)}
      />
      <span className="lg:hidden">Select all</span>
      <span className="max-lg:hidden">Status</span>
      <span className="max-lg:hidden">Task</span>
      <span className="max-lg:hidden">Progress</span>
      <span className="max-lg:hidden">Submitted</span>
      <span className="text-right max-lg:hidden">Took</span>
    </div>
  );
}

function useSelection(ids: readonly string[]) {
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const anchor = useRef<string>(undefined);
  const order = useRef(ids);
  useEffect(() => {
    order.current = ids;
  });
  const selected = useMemo(() => {
    const here = new Set(ids);
    return new Set([...chosen].filter((id) => here.has(id)));
  }, [chosen, ids]);

  const select = useCallback((id: string, on: boolean, range: boolean) => {
    const from = anchor.current === undefined ? -1 : order.current.indexOf(anchor.current);
    const to = order.current.indexOf(id);
    const touched = range && from >= 0 ? order.current.slice(Math.min(from, to), Math.max(from, to) + 1) : [id];
    anchor.current = id;
    setChosen((old) => {
      const next = new Set(old);
      for (const one of touched) {
        if (on) next.add(one);
        else next.delete(one);
      }
      return next;
    });
  }, []);
  const selectAll = useCallback((all: boolean) => setChosen(new Set(all ? order.current : [])), []);
  const clear = useCallback(() => setChosen(new Set()), []);
  return { selected, select, selectAll, clear };
}

/** Lets go of rows that no longer match, while neither pointer nor focus is in the list. */
function useSweep(box: React.RefObject<HTMLUListElement | null>, wanted: boolean, sweep: () => void) {
  useEffect(() => {
    if (!wanted) return;
    const timer = setInterval(() => {
      const list = box.current;
      if (list && !list.matches(":hover") && !list.contains(document.activeElement)) sweep();
    }, SWEEP_MS);
    return () => clearInterval(timer);
  }, [box, wanted, sweep]);
}

const focusedRow = () => document.activeElement?.closest<HTMLElement>("[data-task]") ?? null;
const focusedId = (list: HTMLElement | null) => {
  const row = focusedRow();
  return row && list?.contains(row) ? row.dataset.task : undefined;
};

function step(list: HTMLElement | null, by: 1 | -1) {
  const rows = [...(list?.querySelectorAll<HTMLElement>("[data-task]") ?? [])];
  const at = rows.indexOf(focusedRow() as HTMLElement);
  const next = rows[at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by))];
  next?.querySelector<HTMLElement>("[data-row-link]")?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
