"use client";

import { useConnection, useLive } from "@tasktonic/react";
import { useCallback, useEffect, useRef, useState } from "react";

/** Asked no more often than this, however much happens. */
const PACE_MS = 1_000;
/** Asked at least this often while somebody looks: what others set stirs nobody's stream. */
const NET_MS = 15_000;

export type Fresh<T> = { value: T | undefined; set: (value: T) => void; ask: () => void };

/**
 * What no frame of the socket carries, but changes when tasks do: read again whenever the stream tells of any task of
 * one's own, when the line is back, and when somebody looks again. `read` undefined is: nothing to ask now. The last
 * answer stays until the next one is there.
 */
export function useFresh<T>(read: ((signal: AbortSignal) => Promise<T>) | undefined, initial?: T): Fresh<T> {
  const { store } = useLive();
  const { status } = useConnection();
  const [value, set] = useState(initial);
  const again = useRef<() => void>(() => {});

  useEffect(() => {
    // A line that is back may have missed what nobody repeats.
    void status;
    if (!read) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let askedAt = 0;
    let asking = false;
    let stirred = false;
    const ask = async () => {
      clearTimeout(timer);
      if (stop.signal.aborted || document.visibilityState === "hidden") return;
      if (asking) {
        stirred = true;
        return;
      }
      asking = true;
      stirred = false;
      askedAt = Date.now();
      try {
        const answer = await read(stop.signal);
        if (!stop.signal.aborted) set(answer);
      } catch {
        // What is shown stays as it was; the connection chip says that the line is cut.
      }
      asking = false;
      later(stirred ? PACE_MS : NET_MS);
    };
    const later = (ms: number) => {
      clearTimeout(timer);
      if (!stop.signal.aborted) timer = setTimeout(ask, Math.max(0, askedAt + ms - Date.now()));
    };
    const stir = () => {
      stirred = true;
      if (!asking) later(PACE_MS);
    };
    again.current = () => void ask();
    const quiet = [store.subscribeList(stir), store.subscribeCounts(stir)];
    const looked = () => void ask();
    document.addEventListener("visibilitychange", looked);
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
      for (const end of quiet) end();
      document.removeEventListener("visibilitychange", looked);
    };
  }, [read, store, status]);

  const ask = useCallback(() => again.current(), []);
  return { value, set, ask };
}
