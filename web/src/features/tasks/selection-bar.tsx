"use client";

import { type BulkVerb, canCancel, canRemove, canTryAgain, type TaskFilter, type TaskStatus } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { RotateCcw, Square, Trash2, X } from "lucide-react";
import dynamic from "next/dynamic";
import { useRouter } from "next/navigation";
import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { Button } from "@/components/ui/button";
import { fitsAll, toBulk } from "./filters";
import { useVerbs } from "./verbs";

const loadDialog = () => import("./all-dialog");
const AllDialog = dynamic(() => loadDialog().then((module) => module.AllDialog), { ssr: false });

type Props = {
  ids: string[];
  /** What the list shows: all of it can be meant, also what was not read yet. */
  filter: TaskFilter;
  /** Whether all that was read is selected, and there is more that matches. */
  offersAll: boolean;
  onClear: () => void;
};

/** What can be done to all that is selected: a verb that would change none of them cannot be pressed. */
export function SelectionBar({ ids, filter, offersAll, onClear }: Props) {
  const router = useRouter();
  const { many, all } = useVerbs();
  const [asking, setAsking] = useState<BulkVerb>();
  const [busy, setBusy] = useState(false);
  const [chosenAll, setChosenAll] = useState(false);
  const isAll = chosenAll && offersAll;
  const bulk = useMemo(() => toBulk(filter), [filter]);
  const fitting = {
    cancel: useFitting(ids, canCancel),
    retry: useFitting(ids, canTryAgain),
    purge: useFitting(ids, canRemove),
  };
  // Whoever selects may press next: the question is there without a wait.
  useEffect(() => void loadDialog(), []);

  const run = async (verb: BulkVerb) => {
    setBusy(true);
    if (isAll) {
      const operation = await all(verb, bulk, `web-all-${crypto.randomUUID()}`);
      if (operation) router.push(`/tasks/${operation}`);
    } else if (await many(verb, ids)) {
      onClear();
    }
    setBusy(false);
    setAsking(undefined);
  };
  const off = (verb: BulkVerb) => (isAll ? !fitsAll(verb, filter) : fitting[verb] === 0);
  const press = (verb: BulkVerb) => (verb === "retry" && !isAll ? void run(verb) : setAsking(verb));
  const others = asking ? ids.length - fitting[asking] : 0;
  return (
    <>
      <div
        role="toolbar"
        aria-label="Selected tasks"
        className="fixed bottom-20 left-1/2 z-30 flex -translate-x-1/2 animate-rise items-center gap-1 rounded-xl border border-line bg-raised p-1.5 pl-4 shadow-float sm:bottom-6"
      >
        <span className="tabular mr-2 text-sm font-medium whitespace-nowrap">
          {isAll ? "All that match" : `${ids.length} selected`}
        </span>
        {offersAll && !isAll ? (
          <Button look="ghost" onClick={() => setChosenAll(true)}>
            Select all that match
          </Button>
        ) : null}
        <Button look="ghost" busy={busy && !asking} disabled={off("retry")} onClick={() => press("retry")}>
          <RotateCcw /> <span className="max-sm:sr-only">Try again</span>
        </Button>
        <Button look="ghost" disabled={off("cancel")} onClick={() => press("cancel")}>
          <Square /> <span className="max-sm:sr-only">Cancel</span>
        </Button>
        <Button look="ghost" disabled={off("purge")} onClick={() => press("purge")}>
          <Trash2 /> <span className="max-sm:sr-only">Remove</span>
        </Button>
        <Button look="ghost" size="icon" aria-label="Clear the selection" onClick={onClear}>
          <X />
        </Button>
      </div>
      {asking ? (
        <AllDialog
          verb={asking}
          {...(isAll ? { filter: bulk } : { n: fitting[asking] })}
          {...(!isAll && others > 0 ? { note: noteOn(asking, others) } : {})}
          onOpen={(open) => (open ? undefined : setAsking(undefined))}
          onYes={() => run(asking)}
        />
      ) : null}
    </>
  );
}

/** What a verb leaves alone of what is selected. */
function noteOn(verb: BulkVerb, n: number): string {
  if (verb === "cancel")
    return `${n} of the selected ${n === 1 ? "has ended or stops" : "have ended or stop"} already.`;
  return `${n} of the selected ${n === 1 ? "has" : "have"} not ended.`;
}

/** How many of these a verb fits, live. What nobody has told us of may fit. */
function useFitting(ids: string[], fits: (status: TaskStatus) => boolean): number {
  const { store } = useLive();
  const joined = ids.join(" ");
  const subscribe = useCallback(
    (wake: () => void) => {
      const ends = joined.split(" ").map((id) => store.subscribe(id, wake));
      return () => {
        for (const end of ends) end();
      };
    },
    [store, joined],
  );
  const count = () =>
    ids.filter((id) => {
      const status = store.get(id)?.status;
      return status === undefined || fits(status);
    }).length;
  return useSyncExternalStore(subscribe, count, count);
}
