"use client";

import type { LogPage, LogView } from "@tasktonic/client";
import { useCallback, useEffect, useMemo, useSyncExternalStore } from "react";
import { useLive } from "./provider.tsx";

const PAGE_LINES = 1_000;
const NO_LINES: LogView = { lines: [], last: 0 };

/** The task's log, live while this is mounted. `ended` makes it read the rest once more. */
export function useTaskLogs(
  id: string,
  { initial, ended = false }: { initial?: LogPage; ended?: boolean } = {},
): LogView {
  const live = useLive();
  const { logs } = live;
  useMemo(() => {
    if (initial) logs.add(id, initial.lines);
  }, [logs, id, initial]);
  const subscribe = useCallback((wake: () => void) => logs.subscribe(id, wake), [logs, id]);
  const server = useMemo(() => (initial ? { lines: initial.lines, last: initial.last } : NO_LINES), [initial]);
  const view = useSyncExternalStore(
    subscribe,
    () => logs.get(id),
    () => server,
  );

  useEffect(() => {
    void ended;
    let wanted = true;
    void (async () => {
      while (wanted) {
        const page = await live.api.logs(id, logs.get(id).last, PAGE_LINES).catch(() => undefined);
        if (!page?.lines.length) return;
        logs.add(id, page.lines);
        if (page.lines.length < PAGE_LINES) return;
      }
    })();
    return () => {
      wanted = false;
    };
  }, [live, logs, id, ended]);

  return view;
}
