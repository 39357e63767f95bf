"use client";

import { Link2, Terminal } from "lucide-react";
import type { MenuButton } from "@/components/ui/lazy-menu";
import { Menu, MenuContent, MenuItem, MenuTrigger } from "@/components/ui/menu";

/** The rarer verbs of one task. */
export function MoreMenu(props: { onLink: () => void; onCurl: () => void; trigger: MenuButton }) {
  return (
    <Menu modal={false} defaultOpen>
      <MenuTrigger asChild>{props.trigger}</MenuTrigger>
      <MenuContent align="end">
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
