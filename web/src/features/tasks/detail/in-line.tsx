"use client";

import type { TaskPosition } from "@tasktonic/client";
import { Users } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { placeWords, startWords } from "../place-words";
import { usePosition, type Waiting } from "./use-position";

/** Where a queued task stands in its line, and when it will probably start. */
export function InLine({ task, initial, children }: { task: Waiting; initial?: TaskPosition; children?: ReactNode }) {
  const position = usePosition(task, initial);
  const place = position ? placeWords(position) : undefined;
  const start = position ? startWords(position.start) : undefined;
  const spoken = useCalm([place, start].filter(Boolean).join(" "));
  return (
    <div className="flex gap-3 rounded-lg border border-line bg-sunken px-4 py-3 text-sm text-ink-soft">
      <Users aria-hidden className="mt-0.5 size-4 shrink-0 text-ink-faint" />
      <div className="tabular min-w-0">
        <p className="font-medium text-ink" data-testid="start">
          {start ?? "In line for the next free worker."}
        </p>
        <p className="mt-0.5" data-testid="place">
          {place ?? "Your tasks are started in order; people are served in turn."} {children}
        </p>
        {position?.start.is === "range" ? (
          <p className="mt-0.5 text-xs text-ink-faint">
            Judged by how your tasks in this line started lately; right about {times(position.start.probability)} times
            out of 10.
          </p>
        ) : null}
      </div>
      <p role="status" aria-live="polite" className="sr-only">
        {spoken}
      </p>
    </div>
  );
}

const times = (probability: number): number => Math.round(probability * 10);

/** Read out no more often than this. */
const SPEAK_EVERY_MS = 20_000;

/** A text that changes all the time, for ears: the newest one, now and then. */
function useCalm(text: string): string {
  const [spoken, setSpoken] = useState("");
  const last = useRef(0);
  useEffect(() => {
    if (text === "") return;
    const wait = Math.max(0, last.current + SPEAK_EVERY_MS - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      setSpoken(text);
    }, wait);
    return () => clearTimeout(timer);
  }, [text]);
  return spoken;
}
