"use client";

import { useId, useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog, DialogClose, DialogContent } from "@/components/ui/dialog";
import { describedBy, Field, Input } from "@/components/ui/field";
import { call } from "@/lib/call";
import { eraseData, erasureNow } from "./erase-action";

const ASKED_EVERY_MS = 500;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Erases everything of whoever is signed in, once they have typed who that is. */
export function EraseDialog({ user, onClose }: { user: string; onClose: () => void }) {
  const id = useId();
  const [typed, setTyped] = useState("");
  const [trouble, setTrouble] = useState<string>();
  const [busy, setBusy] = useState(false);

  const erase = async () => {
    setBusy(true);
    setTrouble(undefined);
    let result = await call(() => eraseData({ confirm: typed }));
    while (result.ok && result.value.state !== "done") {
      await pause(ASKED_EVERY_MS);
      result = await call(() => erasureNow({}));
    }
    // What this page still holds of it goes with the page.
    if (result.ok) location.assign("/tasks");
    else setTrouble(result.message);
    setBusy(false);
  };
  return (
    <Dialog open onOpenChange={(open) => (open || busy ? undefined : onClose())}>
      <DialogContent
        title="Erase all your data?"
        description="Every task of yours with its input, output and log, and all your files, also on the disks of this installation. It cannot be undone. You stay signed in."
        className="max-w-md"
      >
        <form
          className="flex flex-col gap-4 px-5 pt-4 pb-5"
          onSubmit={(event) => {
            event.preventDefault();
            if (typed === user) void erase();
          }}
        >
          <Field id={id} label={`Type ${user} to go on`} error={trouble}>
            <Input
              id={id}
              value={typed}
              aria-invalid={trouble ? true : undefined}
              aria-describedby={describedBy(id, undefined, trouble)}
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              onChange={(event) => setTyped(event.target.value)}
            />
          </Field>
          <div className="flex justify-end gap-2">
            <DialogClose asChild>
              <Button look="ghost" disabled={busy}>
                Keep everything
              </Button>
            </DialogClose>
            <Button type="submit" look="danger" busy={busy} disabled={typed !== user}>
              Erase
            </Button>
          </div>
        </form>
      </DialogContent>
    </Dialog>
  );
}
