"use client";

import { createContext, type ReactNode, use, useCallback, useSyncExternalStore } from "react";
import { when } from "@/lib/format";

const SECOND = 1_000;
const ServerNow = createContext(0);

/** The time at which the server rendered: the first client render must say the same. */
export function ClockProvider({ now, children }: { now: number; children: ReactNode }) {
  return <ServerNow value={now}>{children}</ServerNow>;
}

/** The time, rounded down to `everyMs`: a component wakes no more often than what it shows changes. */
export function useNow(everyMs = SECOND): number {
  const server = use(ServerNow);
  const floor = useCallback((ms: number) => Math.floor(ms / everyMs) * everyMs, [everyMs]);
  const subscribe = useCallback(
    (wake: () => void) => {
      const timer = setInterval(wake, Math.max(SECOND, everyMs / 2));
      return () => clearInterval(timer);
    },
    [everyMs],
  );
  return useSyncExternalStore(
    subscribe,
    () => floor(Date.now()),
    () => floor(server),
  );
}

/**
 * A moment as people say it, with the exact one behind it. Unless it may lie ahead (`due`), it is past: then
 * neither our coarse clock nor one that is wrong makes it "in a moment".
 */
export function Ago({ at, due = false, className }: { at: string; due?: boolean; className?: string }) {
  const coarse = useNow(10 * SECOND);
  // Seconds are told for the first minute only.
  const now = useNow(Math.abs(Date.parse(at) - coarse) < 60 * SECOND + 10 * SECOND ? SECOND : 10 * SECOND);
  return (
    <time dateTime={at} title={new Date(at).toUTCString()} className={className}>
      {when(at, due ? now : Math.max(now, Date.parse(at)))}
    </time>
  );
}
