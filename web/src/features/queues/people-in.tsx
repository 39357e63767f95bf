"use client";

import type { QueueDetail, QueueUser, Turns } from "@tasktonic/client";
import { Pencil, UserPlus } from "lucide-react";
import { useId, useState } from "react";
import { Card } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { count } from "@/lib/format";
import { limitWords } from "./limits";
import { PersonDialog } from "./person-dialog";
import { turnsWords } from "./words";

type Props = { detail: QueueDetail; changes: boolean; onChange: () => void };

/** For operators: of whom anything is set in a queue. */
export function PeopleIn({ detail, changes, onChange }: Props) {
  const id = useId();
  /** Whom the dialog is about; null is somebody new. */
  const [editing, setEditing] = useState<QueueUser | null>();
  return (
    <Card aria-labelledby={id} className="mt-5 overflow-hidden">
      <div className="flex items-start justify-between gap-4 px-5 py-4 sm:px-6">
        <div>
          <h2 id={id} className="text-base font-semibold">
            For single people
          </h2>
          <p className="mt-0.5 text-sm text-ink-soft">What is set of a person comes before what holds for everybody.</p>
        </div>
        {changes ? (
          <Button onClick={() => setEditing(null)}>
            <UserPlus /> Add
          </Button>
        ) : null}
      </div>
      {detail.users.length === 0 ? (
        <p className="border-t border-line px-5 py-3 text-sm text-ink-faint sm:px-6">Nothing is set of anybody.</p>
      ) : (
        <ul className="max-h-[32rem] overflow-y-auto border-t border-line">
          {detail.users.map((person) => (
            <li
              key={person.user}
              data-person={person.user}
              className="flex min-h-12 items-center gap-4 border-b border-line px-5 py-2 last:border-b-0 sm:px-6"
            >
              <span className="min-w-0 flex-1">
                <span className="block truncate text-sm font-medium" title={person.user}>
                  {person.user}
                </span>
                <span className="tabular block text-xs text-ink-faint">{personWords(person, detail.turns)}</span>
              </span>
              {changes ? (
                <Button
                  look="ghost"
                  size="icon-sm"
                  aria-label={`Change what is set of ${person.user}`}
                  title="Change"
                  onClick={() => setEditing(person)}
                >
                  <Pencil />
                </Button>
              ) : null}
            </li>
          ))}
        </ul>
      )}
      {detail.more_users ? (
        <p className="border-t border-line px-5 py-2 text-xs text-ink-faint sm:px-6">
          Only the first thousand are shown. <em className="not-italic">Add</em> reaches each of the others by name.
        </p>
      ) : null}
      {editing === undefined ? null : (
        <PersonDialog
          queue={detail.queue}
          person={editing ?? undefined}
          onClose={() => setEditing(undefined)}
          onSaved={() => {
            setEditing(undefined);
            onChange();
          }}
        />
      )}
    </Card>
  );
}

/** `Paused, 3 turns in each round, 500 may wait, 4 run at once`. */
export function personWords(
  { paused, weight, waiting_max, ...starts }: Omit<QueueUser, "user">,
  turns?: Turns,
): string {
  const said = [
    paused ? "Paused" : "",
    weight === 1 ? "" : turnsWords(weight, turns),
    waiting_max === undefined ? "" : `${count(waiting_max)} may wait`,
    limitWords(starts),
  ];
  return said.filter(Boolean).join(", ");
}
