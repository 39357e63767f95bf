"use client";

import type { QueueChange, QueueDetail, Turns } from "@tasktonic/client";
import { type FormEvent, useId, useState } from "react";
import { toast } from "sonner";
import { Button } from "@/components/ui/button";
import { describedBy, Field, FieldError, NativeSelect } from "@/components/ui/field";
import { call } from "@/lib/call";
import { setQueue } from "./actions";
import { LimitFields, RateFields, TotalField } from "./limit-fields";
import {
  changedOf,
  errorsAt,
  LIMIT_POINTERS,
  RATE_TOTAL_POINTERS,
  RUNNING_MAX_WRONG,
  readLimits,
  readRate,
  readTotal,
  sameRate,
  TOTAL_POINTER,
  TURNS,
  totalWords,
  typedOf,
  typedRateOf,
} from "./limits";

type Props = { queue: QueueDetail; changes: boolean; onSaved: (now: QueueDetail) => void };

/** How many tasks of one person may wait, run and start in a queue, and how many of everybody may run and start. */
export function LimitsForm({ queue, changes, onSaved }: Props) {
  const id = useId();
  const [typed, setTyped] = useState(() => typedOf(queue));
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [busy, setBusy] = useState(false);
  const [typedTotal, setTypedTotal] = useState(queue.running_total_max?.toString() ?? "");
  const [typedRate, setTypedRate] = useState(() => typedRateOf(queue.rate_total));
  const { limits, wrong } = readLimits(typed);
  const rateTotal = readRate(typedRate, wrong, "rate_total");
  const total = readTotal(typedTotal);
  if (total === undefined) wrong[TOTAL_POINTER] = RUNNING_MAX_WRONG;
  const isSame = total === undefined || total === (queue.running_total_max ?? null);
  const before = queue.turns ?? "count";
  const [turns, setTurns] = useState<Turns>(before);
  const change: QueueChange = {
    ...changedOf(limits, queue),
    ...(isSame ? {} : { running_total_max: total }),
    ...(sameRate(rateTotal, queue.rate_total) ? {} : { rate_total: rateTotal }),
    ...(turns === before ? {} : { turns }),
  };
  const runs = totalWords(queue);
  const isWrong = Object.keys(wrong).length > 0;

  const save = async (event: FormEvent) => {
    event.preventDefault();
    setErrors(wrong);
    if (isWrong) return;
    setBusy(true);
    const result = await call(() => setQueue({ queue: queue.queue, ...change }));
    setBusy(false);
    if (!result.ok) {
      setErrors(errorsAt(result, [...LIMIT_POINTERS, TOTAL_POINTER, ...RATE_TOTAL_POINTERS]));
      return;
    }
    onSaved(result.value);
    toast.success("Saved", { description: `It holds for everybody in ${queue.queue} from now on.` });
  };
  return (
    <form
      noValidate
      aria-label={`Limits in ${queue.queue}`}
      onSubmit={(event) => void save(event)}
      className="flex flex-col gap-5"
    >
      <LimitFields id={id} of="everybody" typed={typed} onTyped={setTyped} errors={errors} disabled={!changes} />
      <div>
        <TotalField
          id={`${id}total`}
          typed={typedTotal}
          onTyped={setTypedTotal}
          error={errors[TOTAL_POINTER]}
          disabled={!changes}
        />
        <p className="tabular mt-1.5 text-xs text-ink-soft empty:hidden">{runs ? `${runs} now.` : ""}</p>
      </div>
      <RateFields
        id={`${id}all`}
        of="all"
        typed={typedRate}
        onTyped={setTypedRate}
        errors={errors}
        disabled={!changes}
      />
      <Field id={`${id}turns`} label="People share" hint={TURNS[turns].says} className="sm:max-w-md">
        <NativeSelect
          id={`${id}turns`}
          aria-describedby={describedBy(`${id}turns`, TURNS[turns].says, undefined)}
          disabled={!changes}
          value={turns}
          onChange={(event) => setTurns(event.target.value as Turns)}
        >
          {(Object.keys(TURNS) as Turns[]).map((one) => (
            <option key={one} value={one}>
              {TURNS[one].label}
            </option>
          ))}
        </NativeSelect>
      </Field>
      <FieldError id={`${id}error`} text={errors[""]} />
      {changes ? (
        <div className="flex justify-end">
          <Button type="submit" busy={busy} disabled={!isWrong && Object.keys(change).length === 0}>
            Save
          </Button>
        </div>
      ) : null}
    </form>
  );
}
