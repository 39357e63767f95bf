"use client";

import { CalendarClock, Layers, ListChecks, Plus, Search } from "lucide-react";
import Link from "next/link";
import { usePathname } from "next/navigation";
import { Kbd } from "@/components/ui/bits";
import { LazyMenu } from "@/components/ui/lazy-menu";
import { Mark, Wordmark } from "@/components/ui/mark";
import { cn } from "@/lib/cn";
import { useCommandKey } from "@/lib/platform";
import type { Theme } from "@/lib/theme";
import { ConnectionChip } from "./connection-chip";
import type { ShellUser } from "./shell";

const loadAccountMenu = () => import("./account-menu").then((module) => module.AccountMenu);

type BarProps = {
  user: ShellUser;
  theme: Theme;
  onTheme: (theme: Theme) => void;
  onPalette: () => void;
  onHelp: () => void;
  onErase: () => void;
};

export function TopBar({ user, theme, onTheme, onPalette, onHelp, onErase }: BarProps) {
  const path = usePathname();
  const command = useCommandKey();
  return (
    <header className="sticky top-0 z-40 border-b border-line bg-canvas/85 backdrop-blur-md supports-[not_(backdrop-filter:blur(1px))]:bg-canvas">
      <div className="mx-auto flex h-14 w-full max-w-[76rem] items-center gap-2 px-4 sm:gap-4 sm:px-6">
        <Link href="/tasks" aria-label="Task Tonic, my tasks" className="rounded-md">
          <Wordmark className="max-sm:hidden" />
          <Mark className="sm:hidden" />
        </Link>
        <nav aria-label="Main" className="ml-3 hidden items-center gap-1 sm:flex">
          <NavLink href="/tasks" active={path.startsWith("/tasks")}>
            Tasks
          </NavLink>
          <NavLink href="/schedules" active={path.startsWith("/schedules")}>
            Schedules
          </NavLink>
          <NavLink href="/queues" active={path.startsWith("/queues")}>
            Queues
          </NavLink>
          <NavLink href="/new" active={path.startsWith("/new")}>
            Run a task
          </NavLink>
        </nav>
        <div className="flex-1" />
        <button
          type="button"
          onClick={onPalette}
          className="hidden h-8 w-56 items-center gap-2 rounded-md border border-line bg-surface px-2.5 text-sm text-ink-faint shadow-soft transition-colors hover:border-line-strong md:flex"
        >
          <Search aria-hidden className="size-4" />
          <span className="flex-1 text-left">Go to…</span>
          <Kbd aria-hidden>{command === "⌘" ? "⌘K" : `${command} K`}</Kbd>
        </button>
        <ConnectionChip />
        <LazyMenu
          load={loadAccountMenu}
          trigger={
            <button
              type="button"
              aria-label={`${initials(user.name)}, account of ${user.name}`}
              className="grid size-8 place-items-center rounded-full bg-ink text-xs font-semibold text-canvas transition-opacity hover:opacity-85"
            >
              {initials(user.name)}
            </button>
          }
          props={{ user, theme, onTheme, onHelp, onErase }}
        />
      </div>
    </header>
  );
}

function NavLink({ href, active, children }: { href: string; active: boolean; children: string }) {
  return (
    <Link
      href={href}
      aria-current={active ? "page" : undefined}
      className={cn(
        "rounded-md px-2.5 py-1.5 text-sm font-medium transition-colors hover:text-ink",
        active ? "bg-hover text-ink" : "text-ink-soft",
      )}
    >
      {children}
    </Link>
  );
}

/** On a phone the ways to go are under the thumb. */
export function BottomNav({ onPalette }: { onPalette: () => void }) {
  const path = usePathname();
  const item = "flex flex-1 flex-col items-center justify-center gap-0.5 text-2xs font-medium";
  return (
    <nav
      aria-label="Main"
      className="fixed inset-x-0 bottom-0 z-30 flex h-16 border-t border-line bg-canvas/92 pb-[env(safe-area-inset-bottom)] backdrop-blur-md sm:hidden"
    >
      <Link
        href="/tasks"
        aria-current={path.startsWith("/tasks") ? "page" : undefined}
        className={cn(item, path.startsWith("/tasks") ? "text-ink" : "text-ink-faint")}
      >
        <ListChecks aria-hidden className="size-5" />
        Tasks
      </Link>
      <Link href="/new" aria-current={path.startsWith("/new") ? "page" : undefined} className={cn(item, "text-ink")}>
        <span className="grid h-6 w-12 place-items-center rounded-full bg-citrus text-on-citrus">
          <Plus aria-hidden className="size-4.5" />
        </span>
        Run a task
      </Link>
      <Link
        href="/schedules"
        aria-current={path.startsWith("/schedules") ? "page" : undefined}
        className={cn(item, path.startsWith("/schedules") ? "text-ink" : "text-ink-faint")}
      >
        <CalendarClock aria-hidden className="size-5" />
        Schedules
      </Link>
      <Link
        href="/queues"
        aria-current={path.startsWith("/queues") ? "page" : undefined}
        className={cn(item, path.startsWith("/queues") ? "text-ink" : "text-ink-faint")}
      >
        <Layers aria-hidden className="size-5" />
        Queues
      </Link>
      <button type="button" onClick={onPalette} className={cn(item, "text-ink-faint")}>
        <Search aria-hidden className="size-5" />
        Go to
      </button>
    </nav>
  );
}

function initials(name: string): string {
  const words = name
    .trim()
    .split(/[\s._-]+/)
    .filter(Boolean);
  return ((words[0]?.[0] ?? "?") + (words.length > 1 ? (words.at(-1)?.[0] ?? "") : "")).toUpperCase();
}
