"use client";

import { useVirtualizer } from "@tanstack/react-virtual";
import { hasEnded, type LogLevel, type LogLine, type LogPage, type Task } from "@tasktonic/client";
import { useTaskLogs } from "@tasktonic/react";
import { ArrowDownToLine, Download, Pause, Play, Search, WrapText } from "lucide-react";
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { Card } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Input } from "@/components/ui/field";
import { reachable } from "@/components/ui/reachable";
import { cn } from "@/lib/cn";
import { count } from "@/lib/format";

const LINE_PX = 22;
/** So near the end counts as following. */
const NEAR_PX = 40;

const LEVEL: Record<LogLevel, { word: string; look: string }> = {
  debug: { word: "debug", look: "text-ink-faint" },
  info: { word: "info", look: "text-ink-faint" },
  warn: { word: "warn", look: "text-amber font-medium" },
  error: { word: "error", look: "text-red font-medium" },
};

/** The log: live tail, search, wrap, download, and a link to every line. */
export function LogView({ task, initial }: { task: Task; initial: LogPage }) {
  const ended = hasEnded(task.status);
  const { lines: live } = useTaskLogs(task.id, { initial, ended });
  // Until somebody chooses, lines are wrapped where there is little room.
  const [wrap, setWrap] = useState<boolean>();
  const zone = useZone();
  const [find, setFind] = useState("");
  const [following, setFollowing] = useState(!ended);
  const [held, setHeld] = useState<readonly LogLine[]>();
  const scroller = useRef<HTMLDivElement>(null);
  const target = useLineOfHash();

  const all = held ?? live;
  const wanted = find.trim().toLowerCase();
  const lines = useMemo(
    () => (wanted ? all.filter((line) => line.text.toLowerCase().includes(wanted)) : all),
    [all, wanted],
  );
  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => LINE_PX,
    overscan: 20,
    getItemKey: (index) => lines[index]?.n ?? index,
  });

  useEffect(() => {
    if (following && !held && lines.length > 0) rows.scrollToIndex(lines.length - 1, { align: "end" });
  }, [following, held, lines.length, rows]);
  useEffect(() => {
    const index = target === undefined ? -1 : lines.findIndex((line) => line.n === target);
    if (index < 0) return;
    setFollowing(false);
    rows.scrollToIndex(index, { align: "center" });
    // Once per target, not with every new line.
  }, [target, rows]);

  // A log that fits needs no way to its end.
  useEffect(() => {
    const box = scroller.current;
    if (box && lines.length > 0 && box.scrollHeight - box.clientHeight < NEAR_PX) setFollowing(true);
  }, [lines.length]);

  const waiting = held ? live.length - held.length : 0;
  return (
    <Card className="overflow-hidden">
      <div className="flex flex-wrap items-center gap-1.5 border-b border-line bg-sunken p-2">
        <div className="relative min-w-0 flex-1 basis-full sm:basis-40">
          <Search
            aria-hidden
            className="pointer-events-none absolute top-1/2 left-2.5 size-3.5 -translate-y-1/2 text-ink-faint"
          />
          <Input
            type="search"
            aria-label="Search the log"
            placeholder="Search the log"
            value={find}
            onChange={(event) => setFind(event.target.value)}
            className="h-8 pl-8 text-sm sm:h-8"
          />
        </div>
        <span role="status" className="tabular mr-auto px-1.5 text-xs text-ink-faint sm:mr-0">
          {wanted
            ? `${count(lines.length)} of ${count(all.length)}`
            : `${count(all.length)} ${all.length === 1 ? "line" : "lines"}`}
          {zone === "UTC" ? " · times in UTC" : " · your local time"}
        </span>
        {ended ? null : (
          <Button
            look="ghost"
            size="sm"
            aria-pressed={held !== undefined}
            onClick={() => {
              setHeld(held ? undefined : live);
              if (held) setFollowing(true);
            }}
          >
            {held ? <Play /> : <Pause />}
            {held ? (waiting > 0 ? `Go on (${count(waiting)} new)` : "Go on") : "Pause"}
          </Button>
        )}
        <Button
          look="ghost"
          size="icon-sm"
          aria-label="Wrap long lines"
          title="Wrap long lines"
          aria-pressed={wrap ?? false}
          onClick={() => setWrap(!(wrap ?? isNarrow()))}
          className={cn(wrap && "bg-hover text-ink")}
        >
          <WrapText />
        </Button>
        <Button
          look="ghost"
          size="icon-sm"
          aria-label="Download the log"
          title="Download the log"
          disabled={live.length === 0}
          onClick={() => download(task.id, live)}
        >
          <Download />
        </Button>
      </div>
      <div className="relative">
        <div
          ref={scroller}
          {...reachable}
          role="log"
          aria-label="Log lines"
          aria-live="off"
          onScroll={(event) => {
            const { scrollHeight, scrollTop, clientHeight } = event.currentTarget;
            setFollowing(scrollHeight - scrollTop - clientHeight < NEAR_PX);
          }}
          className="max-h-[min(32rem,60vh)] min-h-40 overflow-auto -outline-offset-2"
        >
          {lines.length === 0 ? (
            <p className="px-4 py-16 text-center text-sm text-ink-faint">
              {wanted
                ? "No line has that in it."
                : ended
                  ? "This task wrote no log."
                  : "No line yet. What the handler writes shows up here at once."}
            </p>
          ) : (
            <div className="relative min-w-full py-1.5" style={{ height: rows.getTotalSize() + 12 }}>
              {rows.getVirtualItems().map((row) => {
                const line = lines[row.index];
                if (!line) return null;
                return (
                  <div
                    key={row.key}
                    ref={rows.measureElement}
                    data-index={row.index}
                    className={cn(
                      "absolute top-1.5 left-0 flex min-w-full gap-3 px-3 max-sm:gap-2 max-sm:px-2 font-mono text-xs leading-[22px] hover:bg-hover",
                      wrap === undefined ? "w-max max-sm:w-full" : wrap ? "w-full" : "w-max",
                      target === line.n && "bg-citrus/25",
                    )}
                    style={{ transform: `translateY(${row.start}px)` }}
                  >
                    <a
                      href={`#L${line.n}`}
                      aria-label={`Line ${line.n}`}
                      className="tabular w-9 shrink-0 text-right max-sm:w-6 text-ink-faint select-none hover:text-ink hover:underline"
                    >
                      {line.n}
                    </a>
                    <time dateTime={line.at} title={line.at} className="tabular shrink-0 text-ink-faint">
                      {clockTime(line.at, zone)}
                      <span className="max-sm:hidden">{line.at.slice(19, 23)}</span>
                    </time>
                    <span className={cn("w-10 shrink-0 max-sm:w-9", LEVEL[line.level]?.look)}>
                      {LEVEL[line.level]?.word ?? line.level}
                    </span>
                    <span
                      className={cn(
                        wrap === undefined
                          ? "whitespace-pre max-sm:min-w-0 max-sm:[overflow-wrap:anywhere] max-sm:whitespace-pre-wrap"
                          : wrap
                            ? "min-w-0 [overflow-wrap:anywhere] whitespace-pre-wrap"
                            : "whitespace-pre",
                        line.level === "error" && "text-red",
                      )}
                    >
                      {line.text}
                    </span>
                  </div>
                );
              })}
            </div>
          )}
        </div>
        {!following && lines.length > 0 && !held ? (
          <Button
            size="sm"
            className="absolute right-4 bottom-4 animate-rise shadow-float"
            onClick={() => {
              setFollowing(true);
              rows.scrollToIndex(lines.length - 1, { align: "end" });
            }}
          >
            <ArrowDownToLine /> {ended ? "To the end" : "Follow"}
          </Button>
        ) : null}
      </div>
    </Card>
  );
}

const isNarrow = () => window.matchMedia("(width < 40rem)").matches;

/** The zone of the clock on the wall; UTC until the page is alive, for a server does not know it. */
const useZone = (): string =>
  useSyncExternalStore(
    () => () => {},
    () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
    () => "UTC",
  );

const clocks = new Map<string, Intl.DateTimeFormat>();
/** Hours, minutes and seconds there. */
export function clockTime(at: string, zone: string): string {
  let clock = clocks.get(zone);
  if (!clock) {
    clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: zone });
    clocks.set(zone, clock);
  }
  return clock.format(new Date(at));
}

function useLineOfHash(): number | undefined {
  const [line, setLine] = useState<number>();
  useEffect(() => {
    const read = () => {
      const found = /^#L(\d+)$/.exec(location.hash);
      setLine(found ? Number(found[1]) : undefined);
    };
    read();
    window.addEventListener("hashchange", read);
    return () => window.removeEventListener("hashchange", read);
  }, []);
  return line;
}

function download(id: string, lines: readonly LogLine[]) {
  const text = lines.map((line) => `${line.at} ${line.level.padEnd(5)} ${line.text}`).join("\n");
  const url = URL.createObjectURL(new Blob([`${text}\n`], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `${id}.log`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1_000);
}
