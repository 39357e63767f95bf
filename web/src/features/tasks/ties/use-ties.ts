"use client";

import { type Flow, hasEnded, type Task, type TaskLinks } from "@tasktonic/client";
import { useConnection, useLive } from "@tasktonic/react";
import { useEffect, useState } from "react";

export type Ties = { links: TaskLinks; flow: Flow | null };

/** How often the states of other tasks are read again while some are still to come. */
const EVERY_MS = 2_000;

/**
 * What ties the task to others, read again whenever the task changes and, while others are still to come, every two
 * seconds that the page is looked at: their states are not this task's, so nothing else tells.
 */
export function useTies(task: Task, initial: Ties): Ties {
  const { api } = useLive();
  const { status } = useConnection();
  const [ties, setTies] = useState(initial);
  const moment = `${task.rev}/${status}`;
  const settled = isSettled(ties, task);
  useEffect(() => {
    // Named here because a change of the task is a reason to ask again.
    void moment;
    const stop = new AbortController();
    const read = () => {
      if (document.visibilityState === "hidden") return;
      const flow = initial.flow ? api.flow(task.id, undefined, stop.signal) : null;
      Promise.all([api.links(task.id, stop.signal), flow]).then(
        ([links, flow]) => setTies({ links, flow }),
        () => undefined,
      );
    };
    read();
    const again = settled ? undefined : setInterval(read, EVERY_MS);
    return () => {
      clearInterval(again);
      stop.abort();
    };
  }, [api, task.id, initial.flow, moment, settled]);
  return ties;
}

/** A flow or batch that has not ended may get more tasks, however all of those ended that are there. */
function isSettled({ links, flow }: Ties, task: Task): boolean {
  const linked = [...links.waits_for, ...links.leads_to];
  const over = linked.every(({ status }) => status === undefined || hasEnded(status));
  return over && (flow === null || (hasEnded(task.status) && flow.tasks.every(({ status }) => hasEnded(status))));
}
