"use client";

import type { ReactNode } from "react";
import { describedBy, Field, Input, NativeSelect } from "@/components/ui/field";
import { cn } from "@/lib/cn";
import { type Typed, type TypedRate, UNIT_NAMES, UNITS, type Unit } from "./limits";

/** What the fields are called where they hold for everybody, and where they hold for one person. */
const WORDS = {
  everybody: {
    waiting: "Tasks of one person that may wait",
    waitingHint: "Scheduled ones included. Who has more is refused until some are done",
    waitingEmpty: "as the server has it",
    running: "Tasks of one person that run at once",
    runningHint: "What runs when it is lowered goes on",
    runningEmpty: "as workers have room",
    rate: "How many of one person may start",
    tasksEmpty: "no limit",
  },
  person: {
    waiting: "Tasks that may wait",
    waitingHint: "Scheduled ones included",
    waitingEmpty: "as the queue has it",
    running: "Tasks that run at once",
    runningHint: "What runs when it is lowered goes on",
    runningEmpty: "as the queue has it",
    rate: "How many of theirs may start",
    tasksEmpty: "as the queue has it",
  },
} as const;

type Props = {
  id: string;
  of: keyof typeof WORDS;
  typed: Typed;
  onTyped: (typed: Typed) => void;
  /** By the API's names of what is wrong. */
  errors: Record<string, string>;
  disabled?: boolean;
  /** Other fields that stand before these. */
  children?: ReactNode;
};

type TotalProps = {
  id: string;
  typed: string;
  onTyped: (typed: string) => void;
  error: string | undefined;
  disabled: boolean;
};

/** How many tasks of everybody together may run at once. */
export function TotalField({ id, typed, onTyped, error, disabled }: TotalProps) {
  return (
    <Field id={id} label="Tasks of everybody together that run at once" hint={TOTAL_HINT} error={error}>
      <Input
        id={id}
        inputMode="numeric"
        disabled={disabled}
        className="tabular sm:max-w-[calc(50%-0.5rem)]"
        value={typed}
        placeholder={WORDS.everybody.runningEmpty}
        aria-invalid={error ? true : undefined}
        aria-describedby={describedBy(id, TOTAL_HINT, error)}
        onChange={(event) => onTyped(event.target.value)}
      />
    </Field>
  );
}

const ATTEMPTS = "Each attempt counts as one.";
const TOTAL_HINT = "For what is behind the queue and takes only so much. What runs when it is lowered goes on";

/** How many tasks of one person may wait, run and start. */
export function LimitFields({ id, of, typed, onTyped, errors, disabled = false, children }: Props) {
  const words = WORDS[of];
  const tied = (name: "waiting" | "running", pointer: string, hint: string) => ({
    id: `${id}${name}`,
    inputMode: "numeric" as const,
    disabled,
    className: "tabular",
    value: typed[name],
    "aria-invalid": errors[pointer] ? true : undefined,
    "aria-describedby": describedBy(`${id}${name}`, hint, errors[pointer]),
    onChange: (event: { target: { value: string } }) => onTyped({ ...typed, [name]: event.target.value }),
  });
  return (
    <>
      <div className={cn("grid gap-4", of === "person" ? "sm:grid-cols-3" : "sm:grid-cols-2")}>
        {children}
        <Field id={`${id}waiting`} label={words.waiting} hint={words.waitingHint} error={errors["/waiting_max"]}>
          <Input {...tied("waiting", "/waiting_max", words.waitingHint)} placeholder={words.waitingEmpty} />
        </Field>
        <Field id={`${id}running`} label={words.running} hint={words.runningHint} error={errors["/running_max"]}>
          <Input {...tied("running", "/running_max", words.runningHint)} placeholder={words.runningEmpty} />
        </Field>
      </div>
      <RateFields
        id={id}
        of={of}
        typed={typed}
        onTyped={(rate) => onTyped({ ...typed, ...rate })}
        errors={errors}
        disabled={disabled}
      />
    </>
  );
}

const BURST_HINT = "That many start at once";

/** What the fields of a rate are called: of each person, of one, and of everybody together. */
const RATE_WORDS = {
  everybody: {
    legend: WORDS.everybody.rate,
    hint: ATTEMPTS,
    empty: WORDS.everybody.tasksEmpty,
    name: "rate",
    over: "",
  },
  person: { legend: WORDS.person.rate, hint: ATTEMPTS, empty: WORDS.person.tasksEmpty, name: "rate", over: "" },
  all: {
    legend: "How many of everybody together may start",
    hint: `For what is behind the queue and takes only so many in a time. ${ATTEMPTS}`,
    empty: "no limit",
    name: "rate_total",
    over: " together",
  },
} as const;

type RateProps = {
  id: string;
  of: keyof typeof RATE_WORDS;
  typed: TypedRate;
  onTyped: (typed: TypedRate) => void;
  /** By the API's names of what is wrong. */
  errors: Record<string, string>;
  disabled: boolean;
};

/** How many tasks may start in which time. */
export function RateFields({ id, of, typed, onTyped, errors, disabled }: RateProps) {
  const { legend, hint: says, empty, name: rate, over } = RATE_WORDS[of];
  const { tasks, per, unit, burst } = typed;
  const rest = { tasks, per, unit, burst };
  const wrong = (member: string) => errors[`/${rate}/${member}`];
  const tied = (name: Exclude<keyof TypedRate, "unit">, member: string, hint?: string) => ({
    id: `${id}${name}`,
    inputMode: "numeric" as const,
    disabled,
    className: "tabular",
    value: typed[name],
    "aria-invalid": wrong(member) ? true : undefined,
    "aria-describedby": describedBy(`${id}${name}`, hint, wrong(member)),
    onChange: (event: { target: { value: string } }) => onTyped({ ...rest, [name]: event.target.value }),
  });
  return (
    <fieldset className="min-w-0">
      <legend className="text-sm font-medium">{legend}</legend>
      <p className="mt-0.5 text-xs text-ink-faint">{says}</p>
      <div className="mt-2.5 grid gap-4 sm:grid-cols-[minmax(0,1fr)_minmax(0,1.3fr)_minmax(0,1fr)]">
        <Field id={`${id}tasks`} label={`Tasks that start${over}`} error={wrong("tasks")}>
          <Input {...tied("tasks", "tasks")} placeholder={empty} />
        </Field>
        <Field id={`${id}per`} label={over ? "Together in how long" : "In how long"} error={wrong("per_ms")}>
          <div className="flex gap-2">
            <Input {...tied("per", "per_ms")} className="tabular w-14 shrink-0" />
            <NativeSelect
              aria-label={over ? "Unit of time of all together" : "Unit of time"}
              disabled={disabled}
              value={typed.unit}
              className="min-w-0"
              onChange={(event) => onTyped({ ...rest, unit: event.target.value as Unit })}
            >
              {UNIT_NAMES.map((one) => (
                <option key={one} value={one}>
                  {UNITS[one].many}
                </option>
              ))}
            </NativeSelect>
          </div>
        </Field>
        <Field
          id={`${id}burst`}
          label={over ? "Together after a rest" : "After a rest"}
          hint={BURST_HINT}
          optional
          error={wrong("burst")}
        >
          <Input {...tied("burst", "burst", BURST_HINT)} placeholder="as many" />
        </Field>
      </div>
    </fieldset>
  );
}
