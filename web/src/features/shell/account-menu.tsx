"use client";

import { Eraser, Keyboard, LogOut, Monitor, Moon, Sun } from "lucide-react";
import { Kbd } from "@/components/ui/bits";
import type { MenuButton } from "@/components/ui/lazy-menu";
import {
  Menu,
  MenuContent,
  MenuItem,
  MenuLabel,
  MenuLine,
  MenuRadioGroup,
  MenuRadioItem,
  MenuTrigger,
} from "@/components/ui/menu";
import { THEMES, type Theme } from "@/lib/theme";
import { applyTheme } from "./apply-theme";
import type { ShellUser } from "./shell";
import { signOut } from "./sign-out";

const THEME_ICON: Record<Theme, typeof Sun> = { light: Sun, dark: Moon, system: Monitor };

type Props = {
  user: ShellUser;
  theme: Theme;
  onTheme: (theme: Theme) => void;
  onHelp: () => void;
  onErase: () => void;
  trigger: MenuButton;
};

/** Who is signed in, the look, the keys, and the way out. */
export function AccountMenu({ user, theme, onTheme, onHelp, onErase, trigger }: Props) {
  return (
    <Menu modal={false} defaultOpen>
      <MenuTrigger asChild>{trigger}</MenuTrigger>
      <MenuContent align="end" className="min-w-56">
        <div className="px-2.5 pt-2 pb-1.5">
          <p className="truncate text-sm font-medium">{user.name}</p>
          <p className="truncate text-xs text-ink-faint">
            {user.id} · {user.role}
          </p>
        </div>
        <MenuLine />
        <MenuLabel>Look</MenuLabel>
        <MenuRadioGroup
          value={theme}
          onValueChange={(value) => {
            applyTheme(value as Theme);
            onTheme(value as Theme);
          }}
        >
          {(Object.keys(THEMES) as Theme[]).map((id) => {
            const Icon = THEME_ICON[id];
            return (
              <MenuRadioItem key={id} value={id} onSelect={(event) => event.preventDefault()}>
                <Icon /> {THEMES[id]}
                {theme === id ? <span className="ml-auto size-1.5 rounded-full bg-link" /> : null}
              </MenuRadioItem>
            );
          })}
        </MenuRadioGroup>
        <MenuLine />
        <MenuItem onSelect={onHelp}>
          <Keyboard /> Keys <Kbd className="ml-auto">?</Kbd>
        </MenuItem>
        <MenuItem onSelect={onErase}>
          <Eraser /> Erase my data…
        </MenuItem>
        <MenuItem onSelect={() => void signOut()}>
          <LogOut /> Sign out
        </MenuItem>
      </MenuContent>
    </Menu>
  );
}
