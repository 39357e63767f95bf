"use client";

import { Button } from "@/components/ui/button";
import { Dialog, DialogClose, DialogContent } from "@/components/ui/dialog";

type Props = {
  /** Tasks that can be cancelled. */
  n: number;
  /** Selected ones that cannot. */
  ended: number;
  busy: boolean;
  onOpen: (open: boolean) => void;
  onCancel: () => void;
};

/** Only what concerns many tasks asks first. */
export function CancelDialog({ n, ended, busy, onOpen, onCancel }: Props) {
  return (
    <Dialog open onOpenChange={onOpen}>
      <DialogContent
        title={n === 1 ? "Cancel this task?" : `Cancel ${n} tasks?`}
        description={`What has not started is stopped at once; workers are asked to stop what is running.${
          ended > 0
            ? ` ${ended} of the selected ${ended === 1 ? "has ended or stops" : "have ended or stop"} already.`
            : ""
        }`}
        className="max-w-md"
      >
        <div className="flex justify-end gap-2 px-5 pt-4 pb-5">
          <DialogClose asChild>
            <Button look="ghost">Keep them</Button>
          </DialogClose>
          <Button look="danger" busy={busy} onClick={onCancel}>
            Cancel {n === 1 ? "it" : "them"}
          </Button>
        </div>
      </DialogContent>
    </Dialog>
  );
}
