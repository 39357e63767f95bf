"use client";

import type { QueueUser } from "@tasktonic/client";
import { type FormEvent, useId, useState } from "react";
import { toast } from "sonner";
import { Button } from "@/components/ui/button";
import { Dialog, DialogClose, DialogContent } from "@/components/ui/dialog";
import { describedBy, Field, FieldError, Input } from "@/components/ui/field";
import { Switch } from "@/components/ui/switch";
import { call } from "@/lib/call";
import { setPerson } from "./actions";
import { LimitFields } from "./limit-fields";
import { errorsAt, LIMIT_POINTERS, type LimitsChange, readLimits, typedOf } from "./limits";
import { readWeight, WEIGHT_WRONG } from "./numbers";

type Props = { queue: string; person: QueueUser | undefined; onClose: () => void; onSaved: () => void };

const HINTS = {
  user: "The name they sign in with, or their id",
  weight: "For one of the others; 1 is as everybody has",
};
const POINTERS = ["/user", "/weight", ...LIMIT_POINTERS];
const NO_LIMITS: LimitsChange = { waiting_max: null, running_max: null, rate: null };

/** What is set of one person in a queue. */
export function PersonDialog({ queue, person, onClose, onSaved }: Props) {
  const id = useId();
  const [user, setUser] = useState(person?.user ?? "");
  const [weight, setWeight] = useState(String(person?.weight ?? 1));
  const [typed, setTyped] = useState(() => typedOf(person ?? {}));
  const [paused, setPaused] = useState(person?.paused ?? false);
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [busy, setBusy] = useState(false);

  const send = async (change: { weight: number; paused: boolean } & LimitsChange) => {
    setBusy(true);
    setErrors({});
    const result = await call(() => setPerson({ queue, user: user.trim(), ...change }));
    setBusy(false);
    if (!result.ok) {
      setErrors(errorsAt(result, person ? POINTERS.slice(1) : POINTERS));
      return;
    }
    toast.success("Saved", { description: `It holds for ${result.value.user} in ${queue} from now on.` });
    onSaved();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const turns = readWeight(weight);
    const read = readLimits(typed);
    const wrong: Record<string, string> = {
      ...(user.trim() === "" ? { "/user": "Say whom it is set of." } : {}),
      ...(turns === undefined ? { "/weight": WEIGHT_WRONG } : {}),
      ...read.wrong,
    };
    setErrors(wrong);
    if (turns === undefined || Object.keys(wrong).length > 0) return;
    void send({ weight: turns, paused, ...read.limits });
  };
  const tied = (name: keyof typeof HINTS, pointer: string) => ({
    id: `${id}${name}`,
    "aria-invalid": errors[pointer] ? true : undefined,
    "aria-describedby": describedBy(`${id}${name}`, HINTS[name], errors[pointer]),
  });
  return (
    <Dialog open onOpenChange={(open) => open || busy || onClose()}>
      <DialogContent
        title={person ? `${person.user} in ${queue}` : `A person in ${queue}`}
        className="max-w-xl [&_h2]:[overflow-wrap:anywhere]"
      >
        <form noValidate onSubmit={submit} className="flex flex-col gap-4 overflow-y-auto px-5 pt-3 pb-5">
          {person ? null : (
            <Field id={`${id}user`} label="Who" hint={HINTS.user} error={errors["/user"]}>
              <Input
                {...tied("user", "/user")}
                value={user}
                maxLength={255}
                autoComplete="off"
                autoCapitalize="off"
                spellCheck={false}
                onChange={(event) => setUser(event.target.value)}
              />
            </Field>
          )}
          <LimitFields id={id} of="person" typed={typed} onTyped={setTyped} errors={errors}>
            <Field id={`${id}weight`} label="Turns" hint={HINTS.weight} error={errors["/weight"]}>
              <Input
                {...tied("weight", "/weight")}
                inputMode="numeric"
                className="tabular"
                value={weight}
                onChange={(event) => setWeight(event.target.value)}
              />
            </Field>
          </LimitFields>
          <label htmlFor={`${id}paused`} className="flex items-center justify-between gap-4 text-sm">
            <span>
              <span className="block font-medium">Paused here</span>
              <span className="block text-xs text-ink-faint">Nothing of theirs is started in this queue.</span>
            </span>
            <Switch id={`${id}paused`} checked={paused} onCheckedChange={setPaused} />
          </label>
          <FieldError id={`${id}error`} text={errors[""]} />
          <div className="flex flex-wrap justify-end gap-2">
            {person ? (
              <Button
                look="ghost"
                disabled={busy}
                className="mr-auto -ml-3"
                onClick={() => void send({ weight: 1, paused: false, ...NO_LIMITS })}
              >
                As everybody
              </Button>
            ) : null}
            <DialogClose asChild>
              <Button look="ghost" disabled={busy}>
                Leave it
              </Button>
            </DialogClose>
            <Button type="submit" look="solid" busy={busy}>
              Save
            </Button>
          </div>
        </form>
      </DialogContent>
    </Dialog>
  );
}
