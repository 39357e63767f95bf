"use client";

import type { BulkVerb, TaskFilter } from "@tasktonic/client";
import { RotateCcw, Trash2 } from "lucide-react";
import dynamic from "next/dynamic";
import { useRouter } from "next/navigation";
import { useMemo, useState } from "react";
import { Button } from "@/components/ui/button";
import { toBulk } from "./filters";
import { useVerbs } from "./verbs";

const AllDialog = dynamic(() => import("./all-dialog").then((module) => module.AllDialog), { ssr: false });

/** Tasks that used up their attempts: kept to be looked at, corrected and sent back, or removed. */
export function DeadLetters({ filter }: { filter: TaskFilter }) {
  const router = useRouter();
  const { all } = useVerbs();
  const [asking, setAsking] = useState<BulkVerb>();
  const bulk = useMemo(() => toBulk(filter), [filter]);
  return (
    <section
      aria-label="Dead letters"
      className="flex flex-wrap items-center justify-between gap-x-6 gap-y-2 rounded-lg bg-sunken px-4 py-2.5"
    >
      <p className="text-sm text-ink-soft">
        Dead letters: no attempt is left. Open one to see why, correct its input and send it back.
      </p>
      <div className="flex gap-2">
        <Button size="sm" onClick={() => setAsking("retry")}>
          <RotateCcw /> Try all again
        </Button>
        <Button size="sm" onClick={() => setAsking("purge")}>
          <Trash2 /> Remove all
        </Button>
      </div>
      {asking ? (
        <AllDialog
          verb={asking}
          filter={bulk}
          onOpen={(open) => (open ? undefined : setAsking(undefined))}
          onYes={async () => {
            const operation = await all(asking, bulk, `web-all-${crypto.randomUUID()}`);
            setAsking(undefined);
            if (operation) router.push(`/tasks/${operation}`);
          }}
        />
      ) : null}
    </section>
  );
}
