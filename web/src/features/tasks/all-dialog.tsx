"use client";

import type { BulkCount, BulkFilter, BulkVerb } from "@tasktonic/client";
import { useEffect, useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog, DialogClose, DialogContent } from "@/components/ui/dialog";
import { call } from "@/lib/call";
import { count } from "@/lib/format";
import { countTasks } from "./actions";

type Words = { ask: (n: string) => string; what: string; yes: (them: string) => string };

const WORDS: Record<BulkVerb, Words> = {
  cancel: {
    ask: (n) => `Cancel ${n}?`,
    what: "What has not started is stopped at once; workers are asked to stop what is running.",
    yes: (them) => `Cancel ${them}`,
  },
  retry: {
    ask: (n) => `Try ${n} again?`,
    what: "Each goes back to its line and starts with its first attempt.",
    yes: (them) => `Try ${them} again`,
  },
  purge: {
    ask: (n) => `Remove ${n}?`,
    what: "With their inputs, outputs, logs and attempts. This cannot be undone.",
    yes: (them) => `Remove ${them}`,
  },
};

export const howMany = ({ tasks, more }: BulkCount): string =>
  `${count(tasks)}${more ? "+" : ""} ${tasks === 1 && !more ? "task" : "tasks"}`;

type Props = {
  verb: BulkVerb;
  /** All that match this, or so many that are selected. */
  filter?: BulkFilter;
  n?: number;
  /** What is to be known beside it. */
  note?: string;
  onOpen: (open: boolean) => void;
  onYes: () => Promise<unknown>;
};

/** Asks before many tasks are changed, and says how many they are. */
export function AllDialog({ verb, filter, n, note, onOpen, onYes }: Props) {
  const [counted, setCounted] = useState<BulkCount | undefined>(
    n === undefined ? undefined : { tasks: n, more: false },
  );
  const [trouble, setTrouble] = useState<string>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (!filter) return;
    let gone = false;
    void call(() => countTasks({ verb, filter } as Parameters<typeof countTasks>[0])).then((result) => {
      if (gone) return;
      if (result.ok) setCounted(result.value);
      else setTrouble(result.message);
    });
    return () => {
      gone = true;
    };
  }, [verb, filter]);

  const words = WORDS[verb];
  const none = counted?.tasks === 0;
  return (
    <Dialog open onOpenChange={onOpen}>
      <DialogContent
        title={none ? "None of these" : words.ask(counted ? howMany(counted) : "all that match")}
        description={
          trouble ?? (none ? "There is none this can be done with." : `${words.what}${note ? ` ${note}` : ""}`)
        }
        className="max-w-md"
      >
        <div className="flex justify-end gap-2 px-5 pt-4 pb-5">
          <DialogClose asChild>
            <Button look="ghost">Keep them</Button>
          </DialogClose>
          <Button
            look={verb === "retry" ? "solid" : "danger"}
            busy={busy || (!counted && !trouble)}
            disabled={none}
            onClick={async () => {
              setBusy(true);
              await onYes();
              setBusy(false);
            }}
          >
            {words.yes(counted?.tasks === 1 ? "it" : "them")}
          </Button>
        </div>
      </DialogContent>
    </Dialog>
  );
}
