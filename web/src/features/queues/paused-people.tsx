"use client";

import { Pause, Play } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import { toast } from "sonner";
import { Card } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { describedBy, Field, Input } from "@/components/ui/field";
import { call } from "@/lib/call";
import { pausePerson } from "./actions";
import type { Queues } from "./read";

type Props = { people: NonNullable<Queues["people"]>; changes: boolean; onChange: () => void };

const HINT = "The name they sign in with, or their id";

/** For operators: whose work is paused in all queues, and by whom. */
export function PausedPeople({ people, changes, onChange }: Props) {
  const id = useId();
  const [name, setName] = useState("");
  const [trouble, setTrouble] = useState<string>();
  const [busy, setBusy] = useState<string>();

  const say = async (user: string, paused: boolean) => {
    setBusy(paused ? "" : user);
    setTrouble(undefined);
    const result = await call(() => pausePerson({ user, paused }));
    setBusy(undefined);
    if (!result.ok) {
      if (paused) setTrouble(result.fields?.["/user"] ?? result.message);
      else toast.error("Not resumed", { description: result.message });
      return;
    }
    if (paused) setName("");
    toast(paused ? `All work of ${user} is paused` : `Work of ${user} is resumed`, {
      description: !paused && result.value.by_user ? "They have paused it themselves, so it still rests." : undefined,
    });
    onChange();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim() === "") setTrouble("Say whose work is to be paused.");
    else void say(name.trim(), true);
  };
  return (
    <Card aria-labelledby={`${id}title`} className="mt-6 overflow-hidden">
      <div className="px-4 pt-4 pb-3 sm:px-5">
        <h2 id={`${id}title`} className="text-base font-semibold">
          People whose work is paused
        </h2>
        <p className="mt-0.5 text-sm text-ink-soft">
          Nothing of theirs is started, in whatever queue. Their own word and yours stand beside each other.
        </p>
      </div>
      {people.paused_users.length === 0 ? (
        <p className="border-t border-line px-4 py-3 text-sm text-ink-faint sm:px-5">Nobody's is.</p>
      ) : (
        <ul className="max-h-96 overflow-y-auto border-t border-line">
          {people.paused_users.map(({ user, by_user, by_operator }) => (
            <li
              key={user}
              data-person={user}
              className="flex min-h-12 items-center gap-4 border-b border-line px-4 py-2 last:border-b-0 sm:px-5"
            >
              <span className="min-w-0 flex-1">
                <span className="block truncate text-sm font-medium" title={user}>
                  {user}
                </span>
                <span className="block text-xs text-ink-faint">
                  {by_user && by_operator
                    ? "by themselves and by an operator"
                    : by_user
                      ? "by themselves"
                      : "by an operator"}
                </span>
              </span>
              {by_operator && changes ? (
                <Button
                  size="sm"
                  busy={busy === user}
                  aria-label={`Resume ${user}`}
                  onClick={() => void say(user, false)}
                >
                  {busy === user ? null : <Play />} Resume
                </Button>
              ) : null}
            </li>
          ))}
        </ul>
      )}
      {people.more_paused_users ? (
        <p className="border-t border-line px-4 py-2 text-xs text-ink-faint sm:px-5">
          There are more. <code className="font-mono">tasktonic resume --user NAME</code> reaches each of them.
        </p>
      ) : null}
      {changes ? (
        <form
          noValidate
          onSubmit={submit}
          className="flex flex-wrap items-start gap-2 border-t border-line p-4 sm:px-5"
        >
          <Field
            id={`${id}name`}
            label="Pause all work of"
            hint={HINT}
            error={trouble}
            className="min-w-0 flex-1 basis-56"
          >
            <div className="flex gap-2">
              <Input
                id={`${id}name`}
                value={name}
                aria-invalid={trouble ? true : undefined}
                aria-describedby={describedBy(`${id}name`, HINT, trouble)}
                autoComplete="off"
                autoCapitalize="off"
                spellCheck={false}
                maxLength={255}
                className="sm:max-w-72"
                onChange={(event) => setName(event.target.value)}
              />
              <Button type="submit" busy={busy === ""} className="h-10 sm:h-9">
                {busy === "" ? null : <Pause />} Pause
              </Button>
            </div>
          </Field>
        </form>
      ) : null}
    </Card>
  );
}
