"use client";

import { canCancel, canTryAgain, type TaskStatus } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { RotateCcw, Square, X } from "lucide-react";
import dynamic from "next/dynamic";
import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import { Button } from "@/components/ui/button";
import { useVerbs } from "./verbs";

const loadDialog = () => import("./cancel-dialog");
const CancelDialog = dynamic(() => loadDialog().then((module) => module.CancelDialog), { ssr: false });

/** What can be done to all that is selected: a verb that would change none of them cannot be pressed. */
export function SelectionBar({ ids, onClear }: { ids: string[]; onClear: () => void }) {
  const { many } = useVerbs();
  const [asking, setAsking] = useState(false);
  const [busy, setBusy] = useState<"cancel" | "retry">();
  const cancellable = useFitting(ids, canCancel);
  const repeatable = useFitting(ids, canTryAgain);
  // Whoever selects may press next: the question is there without a wait.
  useEffect(() => void loadDialog(), []);

  const run = async (verb: "cancel" | "retry") => {
    setBusy(verb);
    if (await many(verb, ids)) onClear();
    setBusy(undefined);
    setAsking(false);
  };
  return (
    <>
      <div
        role="toolbar"
        aria-label="Selected tasks"
        className="fixed bottom-20 left-1/2 z-30 flex -translate-x-1/2 animate-rise items-center gap-1 rounded-xl border border-line bg-raised p-1.5 pl-4 shadow-float sm:bottom-6"
      >
        <span className="tabular mr-2 text-sm font-medium whitespace-nowrap">{ids.length} selected</span>
        <Button look="ghost" busy={busy === "retry"} disabled={repeatable === 0} onClick={() => void run("retry")}>
          <RotateCcw /> <span className="max-sm:sr-only">Try again</span>
        </Button>
        <Button look="ghost" disabled={cancellable === 0} onClick={() => setAsking(true)}>
          <Square /> <span className="max-sm:sr-only">Cancel</span>
        </Button>
        <Button look="ghost" size="icon" aria-label="Clear the selection" onClick={onClear}>
          <X />
        </Button>
      </div>
      {asking ? (
        <CancelDialog
          n={cancellable}
          ended={ids.length - cancellable}
          busy={busy === "cancel"}
          onOpen={setAsking}
          onCancel={() => void run("cancel")}
        />
      ) : null}
    </>
  );
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
