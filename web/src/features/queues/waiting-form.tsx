"use client";

import type { QueueDetail } from "@tasktonic/client";
import { type FormEvent, useId, useState } from "react";
import { toast } from "sonner";
import { Button } from "@/components/ui/button";
import { describedBy, Field, Input } from "@/components/ui/field";
import { call } from "@/lib/call";
import { setQueue } from "./actions";
import { readWaitingMax, WAITING_MAX_WRONG } from "./numbers";

const HINT = "Scheduled ones included. Who has more is refused until some are done. Empty: the server's own limit";

/** How many tasks of one person may wait in a queue. */
export function WaitingForm(props: { queue: QueueDetail; changes: boolean; onSaved: (now: QueueDetail) => void }) {
  const { queue, changes, onSaved } = props;
  const id = useId();
  const before = queue.waiting_max?.toString() ?? "";
  const [typed, setTyped] = useState(before);
  const [trouble, setTrouble] = useState<string>();
  const [busy, setBusy] = useState(false);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    const waiting_max = readWaitingMax(typed);
    if (waiting_max === undefined) {
      setTrouble(WAITING_MAX_WRONG);
      return;
    }
    setBusy(true);
    setTrouble(undefined);
    const result = await call(() => setQueue({ queue: queue.queue, waiting_max }));
    setBusy(false);
    if (!result.ok) {
      setTrouble(result.fields?.["/waiting_max"] ?? result.message);
      return;
    }
    onSaved(result.value);
    toast.success("Saved", { description: `It holds for everybody in ${queue.queue} from now on.` });
  };
  return (
    <form noValidate aria-label={`Limits in ${queue.queue}`} onSubmit={(event) => void save(event)}>
      <Field id={id} label="Tasks of one person that may wait" hint={HINT} error={trouble}>
        <div className="flex gap-2">
          <Input
            id={id}
            inputMode="numeric"
            placeholder="as the server has it"
            disabled={!changes}
            value={typed}
            aria-invalid={trouble ? true : undefined}
            aria-describedby={describedBy(id, HINT, trouble)}
            className="tabular sm:max-w-56"
            onChange={(event) => setTyped(event.target.value)}
          />
          {changes ? (
            <Button type="submit" busy={busy} disabled={typed.trim() === before} className="h-10 sm:h-9">
              Save
            </Button>
          ) : null}
        </div>
      </Field>
    </form>
  );
}
