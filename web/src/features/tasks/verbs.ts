"use client";

import {
  type BulkFilter,
  type BulkVerb,
  canCancel,
  canEdit,
  canRemove,
  canReschedule,
  canTryAgain,
  type RescheduleRequest,
  type Task,
} from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { useCallback } from "react";
import { toast } from "sonner";
import { call } from "@/lib/call";
import { when } from "@/lib/format";
import {
  cancelTask,
  cancelTasks,
  changeTasks,
  moveTask,
  removeTask,
  removeTasks,
  retryTask,
  retryTasks,
} from "./actions";
import { isBuiltIn } from "./kinds";
import { tooLate } from "./words";

/** Tasks that somebody here asked to stop, and that have not stopped yet. */
const asked = new Set<string>();

/** Says that a task has stopped where it was said that it was asked to; false if nobody here asked. */
export function tellStopped(task: Task): boolean {
  if (!asked.delete(task.id)) return false;
  if (task.status !== "cancelled") {
    toast.dismiss(`verb-${task.id}`);
    return false;
  }
  toast("Cancelled", { id: `verb-${task.id}`, description: "Its worker has stopped." });
  return true;
}

const tasks = (n: number) => (n === 1 ? "1 task" : `${n} tasks`);

/** How each verb is carried out on many, which tasks it fits, and what is said of it. */
const VERBS = {
  cancel: {
    run: (ids: string[]) => cancelTasks({ ids }),
    fits: canCancel,
    done: "cancelled",
    none: "All of these have ended already.",
  },
  retry: {
    run: (ids: string[]) => retryTasks({ ids }),
    fits: canTryAgain,
    done: "back in line",
    none: "None of these has failed or was cancelled.",
  },
  purge: {
    run: (ids: string[]) => removeTasks({ ids }),
    fits: canRemove,
    done: "removed",
    none: "None of these has ended.",
  },
} as const satisfies Record<BulkVerb, unknown>;

/** What can be done to tasks, with the words people get to see for it. */
export function useVerbs() {
  const live = useLive();
  const { store } = live;

  const tryAgain = useCallback(
    async (id: string) => {
      // The end that is seen here: a second press, or a call repeated after its answer was lost, sends
      // nothing back that has ended anew meanwhile.
      const seen = store.get(id);
      const result = await call(() => retryTask(seen ? { id, rev: seen.rev } : { id }));
      if (result.ok) {
        store.seed(result.value);
        toast.success("Back in line", { id: `verb-${id}`, description: "It starts with its first attempt again." });
        return true;
      }
      toast.error("Not tried again", { id: `verb-${id}`, description: tooLate(result.code, result.message) });
      // The page is behind: what it did not know of is news to it.
      await live.read(id).catch(() => undefined);
      return false;
    },
    [live, store],
  );

  const cancel = useCallback(
    async (id: string) => {
      const result = await call(() => cancelTask({ id }));
      if (!result.ok) {
        toast.error("Not cancelled", { id: `verb-${id}`, description: result.message });
        return false;
      }
      store.seed(result.value);
      const ended = result.value.status === "cancelled" || store.get(id)?.status === "cancelled";
      if (!ended) asked.add(id);
      toast(ended ? "Cancelled" : "Asked to stop", {
        id: `verb-${id}`,
        description: ended ? "Nothing more will be done for it." : "The worker stops at its next safe place.",
        ...(ended ? { action: { label: "Undo", onClick: () => void tryAgain(id) } } : {}),
      });
      return true;
    },
    [store, tryAgain],
  );

  const move = useCallback(
    async (id: string, to: RescheduleRequest) => {
      const result = await call(() => moveTask({ id, ...to }));
      if (result.ok) {
        store.seed(result.value);
        toast.success(movedWords(to, result.value, Date.now()), { id: `verb-${id}` });
        return true;
      }
      toast.error("Not moved", { id: `verb-${id}`, description: tooLate(result.code, result.message) });
      // The page is behind: what keeps the move away is news to it.
      await live.read(id).catch(() => undefined);
      return false;
    },
    [live, store],
  );

  const remove = useCallback(async (id: string) => {
    const result = await call(() => removeTask({ id }));
    if (result.ok) toast.success("Removed", { id: `verb-${id}`, description: "Nothing of it is kept." });
    else toast.error("Not removed", { id: `verb-${id}`, description: result.message });
    return result.ok;
  }, []);

  const many = useCallback(
    async (verb: BulkVerb, ids: string[]) => {
      const { run, fits, done, none } = VERBS[verb];
      const wanted = ids.filter((id) => {
        const task = store.get(id);
        return task === undefined || fits(task.status);
      });
      if (wanted.length === 0) {
        toast(none);
        return false;
      }
      const result = await call(() => run(wanted));
      if (!result.ok) {
        toast.error("Nothing was changed", { description: result.message });
        return false;
      }
      const { changed, failures } = result.value;
      const said = `${tasks(changed)} ${done}`;
      if (failures.length === 0) toast.success(said);
      else toast.error(`${said}, ${tasks(failures.length)} not`, { description: failures[0]?.message });
      return true;
    },
    [store],
  );

  /** Changes all that match; answers the operation, which is a task to follow. */
  const all = useCallback(
    async (verb: BulkVerb, filter: BulkFilter, key: string) => {
      const result = await call(() => changeTasks({ verb, filter, key } as Parameters<typeof changeTasks>[0]));
      if (!result.ok) {
        toast.error("Nothing was changed", { description: result.message });
        return undefined;
      }
      store.seed(result.value);
      return result.value.id;
    },
    [store],
  );

  return { tryAgain, cancel, move, remove, many, all };
}

/** Where a task is now that it was moved. */
export function movedWords(to: RescheduleRequest, task: Pick<Task, "status" | "run_at">, now: number): string {
  if ("place" in to) return to.place === "front" ? "First in your line" : "Last in your line";
  const ahead = task.run_at && Date.parse(task.run_at) > now && task.status !== "queued";
  return ahead ? `Starts ${when(task.run_at ?? "", now)}` : "Starts as soon as a worker is free";
}

export const verbsFor = (task: Task) => ({
  cancel: canCancel(task.status),
  tryAgain: canTryAgain(task.status),
  move: canReschedule(task.status),
  edit: canEdit(task.status) && !isBuiltIn(task.kind),
  mend: canTryAgain(task.status) && !isBuiltIn(task.kind),
  remove: canRemove(task.status),
  repeat: !isBuiltIn(task.kind),
});
