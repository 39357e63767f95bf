"use client";

import { useState } from "react";
import { Button } from "@/components/ui/button";
import { Dialog, DialogClose, DialogContent } from "@/components/ui/dialog";

/** Asks before a queue is paused for everybody. */
export function PauseQueueDialog(props: { queue: string; onClose: () => void; onYes: () => Promise<unknown> }) {
  const [busy, setBusy] = useState(false);
  return (
    <Dialog open onOpenChange={(open) => open || busy || props.onClose()}>
      <DialogContent
        title={`Pause ${props.queue} for everybody?`}
        description="None of its tasks is started until somebody resumes it. What runs goes on, and new tasks are accepted."
        className="max-w-md"
      >
        <div className="flex justify-end gap-2 px-5 pt-4 pb-5">
          <DialogClose asChild>
            <Button look="ghost" disabled={busy}>
              Leave it open
            </Button>
          </DialogClose>
          <Button
            look="danger"
            busy={busy}
            onClick={async () => {
              setBusy(true);
              await props.onYes();
              setBusy(false);
              props.onClose();
            }}
          >
            Pause it
          </Button>
        </div>
      </DialogContent>
    </Dialog>
  );
}
