"use client";

import type { RescheduleRequest, Task } from "@tasktonic/client";
import { type ReactNode, useId, useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog, DialogClose, DialogContent } from "@/components/ui/dialog";
import { FieldError, Input } from "@/components/ui/field";
import { Span, UNITS, type Unit } from "@/features/submit/span";
import { fromLocal, toLocal } from "@/lib/local-time";

/** When a task is to start, as it is chosen and typed. */
export type Choice = { way: "now" | "in" | "at"; after: string; unit: Unit; at: string };

/** The same as the API takes it, or what is wrong with it. */
export function timeAsked({ way, after, unit, at }: Choice): RescheduleRequest | string {
  if (way === "now") return { delay_ms: 0 };
  if (way === "in") {
    const n = Number(after);
    if (after.trim() === "" || !Number.isFinite(n) || n <= 0) return "This must be a number above zero.";
    return { delay_ms: Math.round(n * UNITS[unit].ms) };
  }
  const run_at = fromLocal(at);
  return run_at === "" ? "Choose a day and a time." : { run_at };
}

type Props = {
  task: Pick<Task, "run_at">;
  /** True once it is done. */
  onMove: (to: RescheduleRequest) => Promise<boolean>;
  onClose: () => void;
};

/** Asks when a task that waits is to start instead. */
export function TimeDialog({ task, onMove, onClose }: Props) {
  const id = useId();
  const [choice, setChoice] = useState<Choice>(() => ({
    way: "now",
    after: "10",
    unit: "m",
    at: toLocal(task.run_at ?? new Date(Date.now() + UNITS.h.ms).toISOString()),
  }));
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const set = (part: Partial<Choice>) => {
    setChoice({ ...choice, ...part });
    setError(undefined);
  };

  const send = async () => {
    const to = timeAsked(choice);
    if (typeof to === "string") {
      setError(to);
      return;
    }
    setBusy(true);
    // Whichever way it goes there is a word about it, and the page behind shows what is true.
    await onMove(to);
    onClose();
  };
  const invalid = error ? { "aria-invalid": true, "aria-describedby": `${id}-error` } : {};
  const wrong = <FieldError id={`${id}-error`} text={error} />;
  return (
    <Dialog open onOpenChange={(open) => open || onClose()}>
      <DialogContent title="Start at another time" className="max-w-md">
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void send();
          }}
          className="flex flex-col gap-4 overflow-y-auto px-5 pt-3 pb-5"
        >
          <fieldset className="flex flex-col gap-3">
            <legend className="sr-only">When</legend>
            <Way name={id} way="now" choice={choice} onChoose={set}>
              Now
            </Way>
            <div>
              <Way name={id} way="in" choice={choice} onChoose={set}>
                After a while
              </Way>
              {choice.way === "in" ? (
                <div className="mt-2 ml-7 flex flex-col gap-1.5">
                  <Span
                    input={{ ...invalid, "aria-label": "Start after" }}
                    value={choice.after}
                    unit={choice.unit}
                    unitLabel="Unit"
                    onValue={(after) => set({ after })}
                    onUnit={(unit) => set({ unit })}
                  />
                  {wrong}
                </div>
              ) : null}
            </div>
            <div>
              <Way name={id} way="at" choice={choice} onChoose={set}>
                On a day, at a time
              </Way>
              {choice.way === "at" ? (
                <div className="mt-2 ml-7 flex flex-col gap-1.5">
                  <Input
                    {...invalid}
                    aria-label="Start at"
                    type="datetime-local"
                    step={1}
                    value={choice.at}
                    onChange={(event) => set({ at: event.target.value })}
                  />
                  {wrong}
                </div>
              ) : null}
            </div>
          </fieldset>
          <div className="flex justify-end gap-2">
            <DialogClose asChild>
              <Button look="ghost">Leave it</Button>
            </DialogClose>
            <Button type="submit" look="solid" busy={busy}>
              {choice.way === "now" ? "Start now" : "Set the time"}
            </Button>
          </div>
        </form>
      </DialogContent>
    </Dialog>
  );
}

function Way(props: {
  name: string;
  way: Choice["way"];
  choice: Choice;
  onChoose: (part: Partial<Choice>) => void;
  children: ReactNode;
}) {
  return (
    <label className="flex min-h-9 items-center gap-3 text-sm sm:min-h-7">
      <input
        type="radio"
        name={props.name}
        className="size-4 accent-solid"
        checked={props.choice.way === props.way}
        onChange={() => props.onChoose({ way: props.way })}
      />
      {props.children}
    </label>
  );
}
