"use client";

import type { Attempt, Task } from "@tasktonic/client";
import { useConnection, useLive } from "@tasktonic/react";
import { useEffect, useMemo, useState } from "react";

/**
 * Read again whenever the task enters or leaves an attempt or its worker gets a name, and once the line is
 * back if that failed. Who runs the attempt under way is what the task itself says, so that a page names
 * nobody twice.
 */
export function useAttempts(task: Task, initial: Attempt[]): Attempt[] {
  const { api } = useLive();
  const { status } = useConnection();
  const [attempts, setAttempts] = useState(initial);
  const moment = [task.attempt, task.status, task.worker, task.ended_at].join("/");
  const [seen, setSeen] = useState(moment);
  useEffect(() => {
    // Named here because a new state of the line is a reason to ask again.
    void status;
    if (moment === seen) return;
    const stop = new AbortController();
    api.attempts(task.id, stop.signal).then(
      (next) => {
        setAttempts(next);
        setSeen(moment);
      },
      () => undefined,
    );
    return () => stop.abort();
  }, [api, task.id, moment, seen, status]);
  return useMemo(() => withWorker(attempts, task.attempt, task.worker), [attempts, task.attempt, task.worker]);
}

function withWorker(attempts: Attempt[], number: number, worker: string | null): Attempt[] {
  const last = attempts.at(-1);
  if (!worker || last?.outcome !== "running" || last.number !== number || last.worker === worker) return attempts;
  return [...attempts.slice(0, -1), { ...last, worker }];
}

/** When the first attempt since the task was last put in line started: counting begins anew with a redrive. */
export function firstStart(attempts: Attempt[]): string | null {
  return attempts.findLast(({ number, started_at }) => number === 1 && started_at)?.started_at ?? null;
}
