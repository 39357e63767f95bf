"use client";

import { useLive } from "@tasktonic/react";
import { useCallback, useState } from "react";
import { toast } from "sonner";
import { call } from "@/lib/call";
import { useFresh } from "@/lib/fresh";
import { setQueue } from "./actions";
import { type QueueRow, type Queues, readQueues } from "./read";

/** Queues as they are now, and the verb of operators. */
export function useQueues(initial: Queues, operator: boolean, also?: string) {
  const { api } = useLive();
  const read = useCallback((signal: AbortSignal) => readQueues(api, operator, also, signal), [api, operator, also]);
  const { value = initial, set, ask } = useFresh(read, initial);
  /** The queue that somebody is asked about before it is paused. */
  const [asking, setAsking] = useState<string>();

  const put = (queue: string, paused: boolean) =>
    set({ ...value, rows: value.rows.map((row) => (row.queue === queue ? { ...row, paused } : row)) });

  /** Pauses a queue for everybody, or lets it go on. */
  const pauseQueue = async (queue: string, paused: boolean) => {
    const result = await call(() => setQueue({ queue, paused }));
    if (!result.ok) {
      toast.error(paused ? "Not paused" : "Not resumed", { id: `queue-${queue}`, description: result.message });
      return;
    }
    put(queue, result.value.paused);
    ask();
    toast(paused ? `${queue} is paused` : `${queue} goes on`, { id: `queue-${queue}` });
  };
  /** A pause concerns everybody, so it is asked about; a resume is what everybody waits for. */
  const turn = (row: Pick<QueueRow, "queue">, on: boolean) =>
    on ? void pauseQueue(row.queue, false) : setAsking(row.queue);
  return { queues: value, set, ask, asking, setAsking, pauseQueue, turn };
}
