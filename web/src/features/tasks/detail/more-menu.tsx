"use client";

import type { RescheduleRequest } from "@tasktonic/client";
import { ArrowDownToLine, ArrowUpToLine, CalendarClock, Link2, Pencil, Terminal, Trash2 } from "lucide-react";
import type { MenuButton } from "@/components/ui/lazy-menu";
import { Menu, MenuContent, MenuItem, MenuLine, MenuTrigger } from "@/components/ui/menu";

type Props = {
  can: { move: boolean; edit: boolean; mend: boolean; remove: boolean };
  onTime: () => void;
  onMove: (to: RescheduleRequest) => void;
  onEdit: () => void;
  onRemove: () => void;
  onLink: () => void;
  onCurl: () => void;
  trigger: MenuButton;
};

/** The rarer verbs of one task, those that fit it now. */
export function MoreMenu({ can, ...props }: Props) {
  return (
    <Menu modal={false} defaultOpen>
      <MenuTrigger asChild>{props.trigger}</MenuTrigger>
      <MenuContent align="end">
        {can.move ? (
          <>
            <MenuItem onSelect={props.onTime}>
              <CalendarClock /> Start at another time…
            </MenuItem>
            <MenuItem onSelect={() => props.onMove({ place: "front" })}>
              <ArrowUpToLine /> To the front of my line
            </MenuItem>
            <MenuItem onSelect={() => props.onMove({ place: "back" })}>
              <ArrowDownToLine /> To the back of my line
            </MenuItem>
          </>
        ) : null}
        {can.edit ? (
          <MenuItem onSelect={props.onEdit}>
            <Pencil /> Edit…
          </MenuItem>
        ) : null}
        {can.mend ? (
          <MenuItem onSelect={props.onEdit}>
            <Pencil /> Correct and try again…
          </MenuItem>
        ) : null}
        {can.remove ? (
          <MenuItem onSelect={props.onRemove}>
            <Trash2 /> Remove
          </MenuItem>
        ) : null}
        {can.move || can.edit || can.mend || can.remove ? <MenuLine /> : null}
        <MenuItem onSelect={props.onLink}>
          <Link2 /> Copy the link
        </MenuItem>
        <MenuItem onSelect={props.onCurl}>
          <Terminal /> Copy as curl
        </MenuItem>
      </MenuContent>
    </Menu>
  );
}
