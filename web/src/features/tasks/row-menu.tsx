"use client";

import type { Task } from "@tasktonic/client";
import { Pencil, PencilLine, RotateCcw, Square, SquareArrowOutUpRight, Trash2 } from "lucide-react";
import { useRouter } from "next/navigation";
import type { MenuButton } from "@/components/ui/lazy-menu";
import { Menu, MenuContent, MenuItem, MenuLine, MenuTrigger } from "@/components/ui/menu";
import { useVerbs, verbsFor } from "./verbs";

/** What can be done to one row. */
export function RowMenu({ task, trigger }: { task: Task; trigger: MenuButton }) {
  const router = useRouter();
  const { cancel, tryAgain, remove } = useVerbs();
  const can = verbsFor(task);
  return (
    <Menu modal={false} defaultOpen>
      <MenuTrigger asChild>{trigger}</MenuTrigger>
      <MenuContent align="end">
        <MenuItem onSelect={() => router.push(`/tasks/${task.id}`)}>
          <SquareArrowOutUpRight /> Open
        </MenuItem>
        <MenuItem disabled={!can.repeat} onSelect={() => router.push(`/new?from=${task.id}`)}>
          <PencilLine /> Run again with edits
        </MenuItem>
        <MenuLine />
        <MenuItem disabled={!can.tryAgain} onSelect={() => void tryAgain(task.id)}>
          <RotateCcw /> Try again
        </MenuItem>
        {can.mend ? (
          <MenuItem onSelect={() => router.push(`/tasks/${task.id}/edit`)}>
            <Pencil /> Correct and try again…
          </MenuItem>
        ) : null}
        <MenuItem disabled={!can.cancel} onSelect={() => void cancel(task.id)}>
          <Square /> Cancel
        </MenuItem>
        <MenuItem disabled={!can.remove} onSelect={() => void remove(task.id)}>
          <Trash2 /> Remove
        </MenuItem>
      </MenuContent>
    </Menu>
  );
}
