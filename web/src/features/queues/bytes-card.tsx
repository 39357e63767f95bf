"use client";

import type { BytesLimit } from "@tasktonic/client";
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { toast } from "sonner";
import { Card } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { describedBy, Field, Input, NativeSelect } from "@/components/ui/field";
import { call } from "@/lib/call";
import { setBytesOf, setBytesOfAll } from "./actions";
import { BYTES_WRONG, heldWords, readBytes, SIZE_NAMES, type Size, typedBytes } from "./bytes";

type Props = { limit: BytesLimit; changes: boolean; onChange: () => void };

const ALL_HINT = "What was submitted, and how it ended. Nothing is removed when it is lowered";
const WHO_HINT = "The name they sign in with, or their id";

/** For operators: how many bytes the tasks of people may hold. */
export function BytesCard({ limit, changes, onChange }: Props) {
  const id = useId();
  return (
    <Card aria-labelledby={`${id}title`} className="mt-6 overflow-hidden">
      <div className="px-4 pt-4 pb-3 sm:px-5">
        <h2 id={`${id}title`} className="text-base font-semibold">
          What tasks may hold
        </h2>
        <p className="mt-0.5 text-sm text-ink-soft">
          All tasks of one person together. Who holds as much is refused further tasks; what waits and runs goes on.
        </p>
      </div>
      <OfAll key={limit.bytes_max} limit={limit} changes={changes} onChange={onChange} />
      {changes ? <OfOne /> : null}
    </Card>
  );
}

type AmountProps = {
  id: string;
  label: string;
  hint?: string;
  empty: string;
  typed: string;
  unit: Size;
  error: string | undefined;
  disabled?: boolean;
  onType: (typed: string, unit: Size) => void;
  /** What is done with it, beside it. */
  children?: ReactNode;
};

function Amount(props: AmountProps) {
  const { id, label, hint, empty, typed, unit, error, disabled = false, onType, children } = props;
  return (
    <Field id={id} label={label} hint={hint} error={error} className="min-w-0 flex-1 basis-56">
      <div className="flex gap-2 sm:max-w-96">
        <Input
          id={id}
          inputMode="decimal"
          className="tabular min-w-0"
          placeholder={empty}
          disabled={disabled}
          value={typed}
          aria-invalid={error ? true : undefined}
          aria-describedby={describedBy(id, hint, error)}
          onChange={(event) => onType(event.target.value, unit)}
        />
        <NativeSelect
          aria-label={`${label}: unit`}
          disabled={disabled}
          value={unit}
          className="w-20 shrink-0"
          onChange={(event) => onType(typed, event.target.value as Size)}
        >
          {SIZE_NAMES.map((name) => (
            <option key={name} value={name}>
              {name}
            </option>
          ))}
        </NativeSelect>
        {children}
      </div>
    </Field>
  );
}

function OfAll({ limit, changes, onChange }: Props) {
  const id = useId();
  const [{ typed, unit }, setTyped] = useState(() => typedBytes(limit.bytes_max));
  const [trouble, setTrouble] = useState<string>();
  const [busy, setBusy] = useState(false);
  const max = readBytes(typed, unit);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    setTrouble(max === undefined ? BYTES_WRONG : undefined);
    if (max === undefined) return;
    setBusy(true);
    const result = await call(() => setBytesOfAll({ bytes_max: max }));
    setBusy(false);
    if (!result.ok) {
      setTrouble(result.fields?.["/bytes_max"] ?? result.message);
      return;
    }
    toast.success("Saved", { description: "It holds for everybody of whom nothing else is set." });
    onChange();
  };
  return (
    <form
      noValidate
      aria-label="What the tasks of everybody may hold"
      onSubmit={(event) => void save(event)}
      className="flex flex-wrap items-start gap-2 border-t border-line p-4 sm:px-5"
    >
      <Amount
        id={`${id}max`}
        label="Of each person"
        hint={ALL_HINT}
        empty="no limit"
        typed={typed}
        unit={unit}
        error={trouble}
        disabled={!changes}
        onType={(typed, unit) => setTyped({ typed, unit })}
      >
        {changes ? (
          <Button
            type="submit"
            busy={busy}
            disabled={max !== undefined && max === limit.bytes_max}
            className="h-10 sm:h-9"
          >
            Save
          </Button>
        ) : null}
      </Amount>
    </form>
  );
}

function OfOne() {
  const id = useId();
  const [user, setUser] = useState("");
  const [{ typed, unit }, setTyped] = useState<{ typed: string; unit: Size }>({ typed: "", unit: "GB" });
  const [trouble, setTrouble] = useState<{ user?: string; max?: string }>({});
  const [busy, setBusy] = useState(false);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    const max = readBytes(typed, unit);
    const name = user.trim();
    const wrong = {
      ...(name === "" ? { user: "Say whose tasks are meant." } : {}),
      ...(max === undefined ? { max: BYTES_WRONG } : {}),
    };
    setTrouble(wrong);
    if (max === undefined || name === "") return;
    setBusy(true);
    const result = await call(() => setBytesOf({ user: name, bytes_max: max }));
    setBusy(false);
    if (!result.ok) {
      setTrouble({ max: result.fields?.["/bytes_max"] ?? result.fields?.["/user"] ?? result.message });
      return;
    }
    setUser("");
    setTyped({ typed: "", unit });
    toast.success(max === null ? `${name} is as everybody` : "Saved", {
      description: `Their tasks hold ${heldWords(result.value)}.`,
    });
  };
  return (
    <form
      noValidate
      aria-label="What the tasks of one person may hold"
      onSubmit={(event) => void save(event)}
      className="flex flex-wrap items-start gap-x-4 gap-y-3 border-t border-line p-4 sm:px-5"
    >
      <Field
        id={`${id}user`}
        label="Of one person"
        hint={WHO_HINT}
        error={trouble.user}
        className="min-w-0 flex-1 basis-56"
      >
        <Input
          id={`${id}user`}
          value={user}
          maxLength={255}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          className="sm:max-w-72"
          aria-invalid={trouble.user ? true : undefined}
          aria-describedby={describedBy(`${id}user`, WHO_HINT, trouble.user)}
          onChange={(event) => setUser(event.target.value)}
        />
      </Field>
      <Amount
        id={`${id}max`}
        label="May hold"
        empty="as everybody"
        typed={typed}
        unit={unit}
        error={trouble.max}
        onType={(typed, unit) => setTyped({ typed, unit })}
      >
        <Button type="submit" busy={busy} className="h-10 sm:h-9">
          Set
        </Button>
      </Amount>
    </form>
  );
}
