"use client";

import type { Task, TaskPosition } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { useEffect, useState } from "react";

/** What is looked at of a task. */
export type Waiting = Pick<Task, "id" | "rev" | "status">;

/** How often it is asked while the page is seen. */
const ASK_EVERY_MS = 3_000;
/** An answer older than this is no longer shown. */
const STALE_MS = 15_000;

/**
 * Where a queued task stands, asked again every few seconds while somebody looks, and at once when the task
 * has changed. The last answer stays until the next one is there.
 */
export function usePosition(task: Waiting, initial: TaskPosition | undefined): TaskPosition | undefined {
  const { api } = useLive();
  const [position, setPosition] = useState(initial);
  const waits = task.status === "queued";
  const { id, rev } = task;
  useEffect(() => {
    // Named here because a task that was moved has another place.
    void rev;
    if (!waits) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let heardAt = Date.now();
    const ask = async () => {
      clearTimeout(timer);
      if (document.visibilityState === "hidden") return;
      try {
        const next = await api.position(id, stop.signal);
        heardAt = Date.now();
        setPosition(next);
      } catch {
        if (Date.now() - heardAt > STALE_MS) setPosition(undefined);
      }
      if (!stop.signal.aborted) timer = setTimeout(ask, ASK_EVERY_MS);
    };
    const seen = () => void ask();
    document.addEventListener("visibilitychange", seen);
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [api, id, rev, waits]);
  return waits ? position : undefined;
}
