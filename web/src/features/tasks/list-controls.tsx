"use client";

import type { Counts } from "@tasktonic/client";
import { useCounts } from "@tasktonic/react";
import { Search, SlidersHorizontal, X } from "lucide-react";
import Link from "next/link";
import { useEffect, useRef, useState } from "react";
import { Kbd } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Input, NativeSelect } from "@/components/ui/field";
import { tabStyle } from "@/components/ui/tabs";
import { cn } from "@/lib/cn";
import {
  EVERYTHING,
  isNarrowed,
  type ListQuery,
  SPANS,
  type SpanId,
  shownCount,
  TABS,
  type TabId,
  writeQuery,
} from "./filters";

const TYPING_MS = 250;
/** As long as the API takes a search, in characters. */
const SEARCH_MAX = 128;

/** The status tabs with their live counts. They are links: each is a page of its own. */
export function StatusTabs({ query, counts: initial }: { query: ListQuery; counts: Counts }) {
  const counts = useCounts(initial) ?? initial;
  const nav = useRef<HTMLElement>(null);
  // On a phone the tab one is on may lie beyond the edge.
  useEffect(() => {
    const tab = nav.current?.querySelector<HTMLElement>(`[data-tab="${query.status}"]`);
    if (tab && nav.current) nav.current.scrollLeft = tab.offsetLeft - nav.current.clientWidth / 2 + tab.offsetWidth / 2;
  }, [query.status]);
  return (
    <nav
      ref={nav}
      aria-label="Status"
      className="hide-scrollbar fades-at-end relative -mx-4 flex gap-1 overflow-x-auto border-b border-line px-4 sm:-mx-0 sm:px-0"
    >
      {(Object.keys(TABS) as TabId[]).map((id) => {
        const tab = TABS[id];
        const active = id === query.status;
        const n = tab.count(counts);
        return (
          <Link
            key={id}
            data-tab={id}
            href={`/tasks${writeQuery({ ...query, status: id })}`}
            prefetch={false}
            scroll={false}
            aria-current={active ? "page" : undefined}
            data-state={active ? "active" : undefined}
            className={cn(tabStyle, "first:-ml-1")}
          >
            {tab.label}
            <span
              className={cn(
                "tabular min-w-5 rounded-full px-1.5 text-center text-2xs leading-4.5 font-medium",
                id === "running" && n > 0
                  ? "bg-citrus text-on-citrus"
                  : id === "failed" && n > 0
                    ? "bg-red-wash text-red"
                    : "bg-sunken text-ink-faint",
              )}
            >
              {shownCount(id, counts)}
            </span>
          </Link>
        );
      })}
    </nav>
  );
}

export function FilterBar(props: {
  query: ListQuery;
  kinds: string[];
  titleOf: (kind: string) => string;
  onChange: (query: ListQuery) => void;
}) {
  const { query, kinds, titleOf, onChange } = props;
  const [open, setOpen] = useState(false);
  const known = query.kind && !kinds.includes(query.kind) ? [query.kind, ...kinds] : kinds;
  return (
    <search className="flex flex-wrap items-center gap-2">
      <div className="relative min-w-0 flex-1 basis-52">
        <Search
          aria-hidden
          className="pointer-events-none absolute top-1/2 left-3 size-4 -translate-y-1/2 text-ink-faint"
        />
        <TypedInput
          id="task-search"
          aria-label="Search tasks by id, kind, tag or error"
          title="Words of an id, a kind, a tag, or the error of a task that failed"
          placeholder="Search id, kind, tag, error"
          maxLength={SEARCH_MAX}
          value={query.q}
          onTyped={(q) => onChange({ ...query, q })}
          className="pl-9"
        />
        <Kbd className="absolute top-1/2 right-2.5 -translate-y-1/2 max-lg:hidden">/</Kbd>
      </div>
      <Button className="h-10 sm:hidden" aria-expanded={open} onClick={() => setOpen(!open)} aria-label="More filters">
        <SlidersHorizontal />
      </Button>
      <div className={cn("contents max-sm:w-full max-sm:gap-2", open ? "max-sm:grid" : "max-sm:hidden")}>
        <NativeSelect
          aria-label="Kind"
          value={query.kind}
          onChange={(event) => onChange({ ...query, kind: event.target.value })}
          className="sm:w-44"
        >
          <option value="">Every kind</option>
          {known.map((kind) => (
            <option key={kind} value={kind}>
              {titleOf(kind)}
            </option>
          ))}
        </NativeSelect>
        <TypedInput
          aria-label="Tag"
          placeholder="Tag"
          value={query.tag}
          onTyped={(tag) => onChange({ ...query, tag })}
          className="sm:w-32"
        />
        <NativeSelect
          aria-label="Time"
          value={query.span}
          onChange={(event) => onChange({ ...query, span: event.target.value as SpanId | "" })}
          className="sm:w-40"
        >
          <option value="">Any time</option>
          {(Object.keys(SPANS) as SpanId[]).map((id) => (
            <option key={id} value={id}>
              {SPANS[id].label}
            </option>
          ))}
        </NativeSelect>
      </div>
      {query.queue ? (
        <span className="inline-flex h-9 max-w-full min-w-0 items-center gap-1 rounded-md border border-line bg-sunken pr-1 pl-2.5 text-sm text-ink-soft sm:h-8">
          <span className="truncate" title={query.queue}>
            Queue <span className="font-medium text-ink">{query.queue}</span>
          </span>
          <Button
            look="ghost"
            size="icon-sm"
            aria-label="Tasks of every queue"
            title="Tasks of every queue"
            onClick={() => onChange({ ...query, queue: "" })}
          >
            <X />
          </Button>
        </span>
      ) : null}
      {isNarrowed(query) ? (
        <Button look="ghost" onClick={() => onChange({ ...EVERYTHING, status: query.status })}>
          <X /> Clear
        </Button>
      ) : null}
    </search>
  );
}

/** Tells what was typed once the typing pauses; what the URL says wins when it changes from outside. */
function TypedInput(
  props: Omit<React.ComponentProps<"input">, "value" | "onChange"> & {
    value: string;
    onTyped: (value: string) => void;
  },
) {
  const { value, onTyped, ...rest } = props;
  const [typed, setTyped] = useState(value);
  const told = useRef(value);
  const tell = useRef(onTyped);
  useEffect(() => {
    tell.current = onTyped;
  });
  useEffect(() => {
    if (value !== told.current) {
      told.current = value;
      setTyped(value);
    }
  }, [value]);
  useEffect(() => {
    const text = typed.trim();
    if (text === told.current) return;
    const timer = setTimeout(() => {
      told.current = text;
      tell.current(text);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <Input
      type="search"
      autoComplete="off"
      autoCapitalize="off"
      spellCheck={false}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
      {...rest}
    />
  );
}
