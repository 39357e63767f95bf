"use client";

import type { Task, Why } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { useCallback } from "react";
import { useFresh } from "@/lib/fresh";

/** What stands in the way of a queued task; read again whenever the task or any other of one's own has changed. */
export function useWhy(task: Pick<Task, "id" | "rev" | "status">, initial?: Why) {
  const { api } = useLive();
  const { id, rev } = task;
  const read = useCallback(
    (signal: AbortSignal) => {
      // Named here because a task that was moved may have something else in its way.
      void rev;
      return api.why(id, signal);
    },
    [api, id, rev],
  );
  const { value, ask } = useFresh(task.status === "queued" ? read : undefined, initial);
  return { why: task.status === "queued" ? value : undefined, ask };
}
