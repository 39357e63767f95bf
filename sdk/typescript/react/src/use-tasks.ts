"use client";

import { ApiError, type TaskFilter, type TaskPage } from "@tasktonic/client";
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { matches, newestFirst } from "./matches.ts";
import { useLive } from "./provider.tsx";

export type UseTasksOptions = {
  /** The first page as the server rendered it. */
  initial?: TaskPage;
  limit?: number;
};

export type TaskList = {
  /** Ids of the rows, newest first. Each row reads its own task with `useTaskRow`. */
  ids: readonly string[];
  /** How many matching tasks wait above: rows never move by themselves. */
  fresh: number;
  /** Lets the waiting rows in and the ones that no longer match out. */
  refresh: () => void;
  /** Rows that no longer match; they stay where they are until `sweep` or `refresh`. */
  left: readonly string[];
  sweep: () => void;
  hasMore: boolean;
  loadMore: () => Promise<void>;
  loading: boolean;
  error: ApiError | undefined;
};

const NONE: TaskPage = { tasks: [], next_cursor: null };
const PAGE = 50;
const BEFORE = -1;

/** A filtered list that stays true without moving what is under the pointer. */
export function useTasks(filter: TaskFilter, { initial, limit = PAGE }: UseTasksOptions = {}): TaskList {
  const live = useLive();
  const { store } = live;
  const first = initial ?? NONE;
  // The filter by value: callers make a new object with every render.
  const key = JSON.stringify(filter);

  const [view, setView] = useState(() => ({ key, first, ids: idsOf(first), cursor: first.next_cursor }));
  const [loading, setLoading] = useState(!initial);
  const [error, setError] = useState<ApiError>();

  useMemo(() => {
    for (const task of first.tasks) store.seed(task);
  }, [store, first]);

  // Another filter or another render by the server is another list.
  let current = view;
  if (view.key !== key || view.first !== first) {
    current = { key, first, ids: idsOf(first), cursor: first.next_cursor };
    setView(current);
  }

  // −1 while React takes over the server's markup: then the list must be the one the server rendered.
  const version = useSyncExternalStore(store.subscribeList, store.listVersion, () => BEFORE);

  const { ids, fresh, left } = useMemo(() => {
    if (version === BEFORE) return { ids: current.ids, fresh: [], left: [] };
    const shown = new Set(current.ids);
    const oldest = current.cursor === null ? "" : (store.get(current.ids.at(-1) ?? "")?.created_at ?? "");
    const waiting: string[] = [];
    for (const task of store.all()) {
      if (!shown.has(task.id) && task.created_at > oldest && matches(task, filter)) waiting.push(task.id);
    }
    const stale = current.ids.filter((id) => {
      const task = store.get(id);
      return task !== undefined && !matches(task, filter);
    });
    return { ids: current.ids.filter((id) => store.get(id) !== undefined), fresh: waiting, left: stale };
  }, [store, version, current, key]);

  const set = useCallback(
    (change: (ids: readonly string[]) => string[]) =>
      setView((old) => (old.key === key ? { ...old, ids: change(old.ids) } : old)),
    [key],
  );
  const refresh = useCallback(() => {
    const out = new Set(left);
    set((old) =>
      [...new Set([...fresh, ...old])]
        .filter((id) => !out.has(id))
        .map((id) => store.get(id))
        .filter((task) => task !== undefined)
        .sort(newestFirst)
        .map((task) => task.id),
    );
  }, [store, set, fresh, left]);
  const sweep = useCallback(() => {
    const out = new Set(left);
    if (out.size) set((old) => old.filter((id) => !out.has(id)));
  }, [set, left]);

  const load = useCallback(
    async (cursor: string | undefined) => {
      setLoading(true);
      try {
        const page = await live.api.tasks(filter, { limit, ...(cursor ? { cursor } : {}) });
        for (const task of page.tasks) store.seed(task);
        setError(undefined);
        setView((old) =>
          old.key === key ? { ...old, ids: [...new Set([...old.ids, ...idsOf(page)])], cursor: page.next_cursor } : old,
        );
      } catch (cause) {
        if (cause instanceof ApiError) setError(cause);
      } finally {
        setLoading(false);
      }
    },
    [live, store, key, limit],
  );
  const loadMore = useCallback(async () => {
    if (current.cursor !== null) await load(current.cursor);
  }, [load, current.cursor]);

  const unread = initial === undefined;
  useEffect(() => {
    if (unread) void load(undefined);
  }, [unread, load]);

  // An empty list has nothing that could move.
  useEffect(() => {
    if (ids.length === 0 && fresh.length > 0) refresh();
  }, [ids.length, fresh.length, refresh]);

  return {
    ids,
    fresh: fresh.length,
    refresh,
    left,
    sweep,
    hasMore: current.cursor !== null,
    loadMore,
    loading,
    error,
  };
}

const idsOf = (page: TaskPage): string[] => page.tasks.map((task) => task.id);
