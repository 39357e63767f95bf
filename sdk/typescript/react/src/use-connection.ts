"use client";

import type { Connection, Counts } from "@tasktonic/client";
import { useMemo, useSyncExternalStore } from "react";
import { useLive } from "./provider.tsx";

const BEFORE: Connection = { status: "reconnecting", wasLive: false, lagMs: undefined };

/** The health of the link: live, reconnecting, polling or offline. */
export function useConnection(): Connection {
  const { socket } = useLive();
  return useSyncExternalStore(socket.subscribe, socket.getConnection, () => BEFORE);
}

/** How many tasks there are per status, live. */
export function useCounts(initial?: Counts): Counts | undefined {
  const { store } = useLive();
  useMemo(() => {
    if (initial) store.seedCounts(initial);
  }, [store, initial]);
  return useSyncExternalStore(store.subscribeCounts, store.getCounts, () => initial) ?? initial;
}
