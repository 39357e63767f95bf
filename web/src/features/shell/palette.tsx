"use client";

import type { KindInfo } from "@tasktonic/client";
import { newestFirst, useLive } from "@tasktonic/react";
import { Command } from "cmdk";
import {
  CalendarClock,
  FilePlus2,
  Hash,
  Keyboard,
  Layers,
  ListChecks,
  LogOut,
  Moon,
  Plus,
  Search,
  Sun,
} from "lucide-react";
import { useRouter } from "next/navigation";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { Kbd } from "@/components/ui/bits";
import { Dialog, DialogContent } from "@/components/ui/dialog";
import { TABS, type TabId } from "@/features/tasks/filters";
import { learnKinds, titlesOf } from "@/features/tasks/kinds";
import { StatusFace } from "@/features/tasks/status-face";
import { Ago } from "@/lib/clock";
import type { Theme } from "@/lib/theme";
import { applyTheme } from "./apply-theme";
import { signOut } from "./sign-out";

const RECENT_SHOWN = 6;
const TASK_ID = /^[A-Za-z0-9_-]{16}$/;

type Props = {
  open: boolean;
  onOpen: (open: boolean) => void;
  onHelp: () => void;
  onTheme: (theme: Theme) => void;
};

export function Palette(props: Props) {
  return (
    <Dialog open={props.open} onOpenChange={props.onOpen}>
      <DialogContent bare title="Go to" description="Find a task, a kind, a page or a verb." className="max-w-xl">
        <PaletteBody {...props} />
      </DialogContent>
    </Dialog>
  );
}

function PaletteBody({ onOpen, onHelp, onTheme }: Props) {
  const router = useRouter();
  const live = useLive();
  const [text, setText] = useState("");
  const [kinds, setKinds] = useState<KindInfo[]>([]);
  // What is known when the palette opens is enough: it is open for seconds.
  const [recent] = useState(() => [...live.store.all()].sort(newestFirst));

  useEffect(() => {
    const stop = new AbortController();
    live.api.kinds(stop.signal).then(
      (all) => {
        setKinds(all);
        learnKinds(all);
      },
      () => undefined,
    );
    return () => stop.abort();
  }, [live]);

  const does = (act: () => void) => () => {
    onOpen(false);
    act();
  };
  const goes = (href: string) => does(() => router.push(href));
  const theme = (next: Theme) =>
    does(() => {
      applyTheme(next);
      onTheme(next);
    });
  const titleOf = useMemo(() => titlesOf(kinds), [kinds]);
  const typed = text.trim();
  const found = typed ? recent : recent.slice(0, RECENT_SHOWN);

  return (
    <Command loop label="Go to" className="flex min-h-0 flex-col">
      <div className="flex items-center gap-3 border-b border-line px-4">
        <Search aria-hidden className="size-4 text-ink-faint" />
        <Command.Input
          autoFocus
          value={text}
          onValueChange={setText}
          placeholder="A task id, a kind, a page…"
          className="h-12 min-w-0 flex-1 bg-transparent text-base outline-none max-sm:text-[16px]"
        />
        <Kbd>esc</Kbd>
      </div>
      <Command.List className="max-h-[min(24rem,60vh)] scroll-py-2 overflow-y-auto p-2">
        <Command.Empty className="px-3 py-8 text-center text-sm text-ink-faint">
          Nothing known by that name.
        </Command.Empty>
        {TASK_ID.test(typed) ? (
          <Item icon={<Hash />} value={`id ${typed}`} onSelect={goes(`/tasks/${typed}`)}>
            Open task <span className="font-mono text-xs">{typed}</span>
          </Item>
        ) : null}
        {found.length > 0 ? (
          <Group heading="Recent tasks">
            {found.map((task) => (
              <Item
                key={task.id}
                // Not by its title: who types that means the kind, to run it.
                value={`${task.kind} ${task.id} ${task.status} ${task.tags.join(" ")}`}
                onSelect={goes(`/tasks/${task.id}`)}
              >
                <StatusFace status={task.status} className="w-28" />
                <span className="truncate">{titleOf(task.kind)}</span>
                <span className="truncate font-mono text-2xs text-ink-faint max-sm:max-w-14">{task.id}</span>
                <Ago at={task.created_at} className="ml-auto text-xs whitespace-nowrap text-ink-faint" />
              </Item>
            ))}
          </Group>
        ) : null}
        <Group heading="Run">
          <Item icon={<Plus />} onSelect={goes("/new")} keys="n">
            Run a task
          </Item>
          {kinds.map((kind) => (
            <Item
              key={kind.kind}
              icon={<FilePlus2 />}
              value={`run ${kind.kind} ${kind.title ?? ""}`}
              onSelect={goes(`/new?kind=${encodeURIComponent(kind.kind)}`)}
            >
              <span className="min-w-0 truncate">{kind.title ?? kind.kind}</span>
              <span className="min-w-0 truncate font-mono text-xs text-ink-faint max-sm:hidden">{kind.kind}</span>
            </Item>
          ))}
        </Group>
        <Group heading="Go">
          <Item icon={<ListChecks />} onSelect={goes("/tasks")}>
            My tasks
          </Item>
          <Item icon={<CalendarClock />} onSelect={goes("/schedules")}>
            Schedules
          </Item>
          <Item icon={<Layers />} onSelect={goes("/queues")}>
            Queues
          </Item>
          {(Object.keys(TABS) as TabId[])
            .filter((id) => id !== "all" && typed !== "")
            .map((id) => (
              <Item
                key={id}
                icon={<ListChecks />}
                onSelect={goes(`/tasks?status=${id}`)}
                value={`${TABS[id].label} tasks`}
              >
                {TABS[id].label} tasks
              </Item>
            ))}
        </Group>
        <Group heading="This page">
          <Item icon={<Sun />} onSelect={theme("light")}>
            Light look
          </Item>
          <Item icon={<Moon />} onSelect={theme("dark")}>
            Dark look
          </Item>
          <Item icon={<Keyboard />} onSelect={does(onHelp)} keys="?">
            Keys
          </Item>
          <Item icon={<LogOut />} onSelect={does(() => void signOut())}>
            Sign out
          </Item>
        </Group>
      </Command.List>
    </Command>
  );
}

function Group({ heading, children }: { heading: string; children: ReactNode }) {
  return (
    <Command.Group
      heading={heading}
      className="[&_[cmdk-group-heading]]:px-2.5 [&_[cmdk-group-heading]]:pt-3 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-xs [&_[cmdk-group-heading]]:text-ink-faint"
    >
      {children}
    </Command.Group>
  );
}

function Item(props: { icon?: ReactNode; value?: string; keys?: string; onSelect: () => void; children: ReactNode }) {
  return (
    <Command.Item
      {...(props.value ? { value: props.value } : {})}
      onSelect={props.onSelect}
      className="flex min-h-9 cursor-default items-center gap-2.5 rounded-md px-2.5 text-sm data-[selected=true]:bg-hover [&>svg]:size-4 [&>svg]:shrink-0 [&>svg]:text-ink-faint"
    >
      {props.icon}
      {props.children}
      {props.keys ? <Kbd className="ml-auto">{props.keys}</Kbd> : null}
    </Command.Item>
  );
}
