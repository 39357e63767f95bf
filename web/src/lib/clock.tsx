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

/** A moment as people say it, with the exact one behind it. */
export function Ago({ at, className }: { at: string; className?: string }) {
  const now = useNow(10 * SECOND);
  return (
    <time dateTime={at} title={new Date(at).toUTCString()} className={className}>
      {when(at, Math.max(now, 0))}
    </time>
  );
}
