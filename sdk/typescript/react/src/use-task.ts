"use client";

import { ApiError, type Connection, hasEnded, type Json, type Task } from "@tasktonic/client";
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { useLive } from "./provider.tsx";
import { useConnection } from "./use-connection.ts";

export type UseTaskOptions = {
  /** The task as the server rendered it. It goes into the store; it is no fallback. */
  initial?: Task;
  /** Also read payload and output, once they are there. Lists leave this out. */
  whole?: boolean;
};

/** One task, live. Re-renders when this task changes and for no other reason. */
export function useTask<Out = Json>(
  id: string,
  { initial, whole = false }: UseTaskOptions = {},
): { task: Task<Out> | undefined; error: ApiError | undefined; connection: Connection } {
  const live = useLive();
  const task = useTaskRow(id, initial);
  const connection = useConnection();
  const [error, setError] = useState<ApiError>();

  const missing = task === undefined && !live.store.isGone(id);
  const unread =
    whole &&
    task !== undefined &&
    (task.payload === undefined || (hasEnded(task.status) && task.has_output && task.output == null));
  useEffect(() => {
    if (!missing && !unread) return;
    let wanted = true;
    live.read(id).then(
      () => wanted && setError(undefined),
      (cause: unknown) => wanted && cause instanceof ApiError && setError(cause),
    );
    return () => {
      wanted = false;
    };
    // What could not be read while the line was cut is read once it is back.
  }, [live, id, missing, unread, connection.status]);

  return { task: task as Task<Out> | undefined, error, connection };
}

/** The bare row: what a list needs, without the connection. */
export function useTaskRow(id: string, initial?: Task): Task | undefined {
  const { store } = useLive();
  useMemo(() => {
    if (initial) store.seed(initial);
  }, [store, initial]);
  const subscribe = useCallback((wake: () => void) => store.subscribe(id, wake), [store, id]);
  return useSyncExternalStore(
    subscribe,
    () => store.get(id),
    () => initial ?? store.get(id),
  );
}
