"use client";

import type { Task } from "@tasktonic/client";
import { useEffect, useRef } from "react";
import { useLive } from "./provider.tsx";

/** Calls back once for each of the user's tasks that ends while this is mounted. */
export function useTaskEnds(onEnd: (task: Task) => void): void {
  const { store } = useLive();
  const told = useRef(onEnd);
  useEffect(() => {
    told.current = onEnd;
  });
  useEffect(() => store.subscribeEnds((task) => told.current(task)), [store]);
}

/** The events of one task: each progress, and the end, once. */
export function useTaskEvents(
  id: string,
  handlers: { onProgress?: (task: Task) => void; onComplete?: (task: Task) => void },
): void {
  const { store } = useLive();
  const told = useRef(handlers);
  useEffect(() => {
    told.current = handlers;
  });
  useEffect(() => {
    let before = store.get(id)?.progress;
    const unsubscribe = store.subscribe(id, () => {
      const task = store.get(id);
      if (!task || task.progress === before) return;
      before = task.progress;
      told.current.onProgress?.(task);
    });
    const unend = store.subscribeEnds((task) => {
      if (task.id === id) told.current.onComplete?.(task);
    });
    return () => {
      unsubscribe();
      unend();
    };
  }, [store, id]);
}
