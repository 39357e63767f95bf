"use client";

import { CalendarClock, Layers, ListChecks, type LucideIcon, Plus, Search } from "lucide-react";
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

/** One of the ways to go on a phone. */
const THUMB = "flex flex-1 flex-col items-center justify-center gap-0.5 text-2xs font-medium";

/** On a phone the ways to go are under the thumb. */
export function BottomNav({ onPalette }: { onPalette: () => void }) {
  const path = usePathname();
  return (
    <nav
      aria-label="Main"
      className="fixed inset-x-0 bottom-0 z-30 flex h-16 border-t border-line bg-canvas/92 pb-[env(safe-area-inset-bottom)] backdrop-blur-md sm:hidden"
    >
      <ThumbLink href="/tasks" path={path} icon={ListChecks}>
        Tasks
      </ThumbLink>
      <Link href="/new" aria-current={path.startsWith("/new") ? "page" : undefined} className={cn(THUMB, "text-ink")}>
        <span className="grid h-6 w-12 place-items-center rounded-full bg-citrus text-on-citrus">
          <Plus aria-hidden className="size-4.5" />
        </span>
        Run a task
      </Link>
      <ThumbLink href="/schedules" path={path} icon={CalendarClock}>
        Schedules
      </ThumbLink>
      <ThumbLink href="/queues" path={path} icon={Layers}>
        Queues
      </ThumbLink>
      <button type="button" onClick={onPalette} className={cn(THUMB, "text-ink-faint")}>
        <Search aria-hidden className="size-5" />
        Go to
      </button>
    </nav>
  );
}

function ThumbLink(props: { href: string; path: string; icon: LucideIcon; children: string }) {
  const { href, path, icon: Icon, children } = props;
  const active = path.startsWith(href);
  return (
    <Link
      href={href}
      aria-current={active ? "page" : undefined}
      className={cn(THUMB, active ? "text-ink" : "text-ink-faint")}
    >
      <Icon aria-hidden className="size-5" />
      {children}
    </Link>
  );
}

function initials(name: string): string {
  const words = name
    .trim()
    .split(/[\s._-]+/)
    .filter(Boolean);
  return ((words[0]?.[0] ?? "?") + (words.length > 1 ? (words.at(-1)?.[0] ?? "") : "")).toUpperCase();
}
