"use client";

import type { KindInfo } from "@tasktonic/client";
import { Plus } from "lucide-react";
import Link from "next/link";
import { Tabs as Radix } from "radix-ui";
import { useSyncExternalStore } from "react";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { reachable } from "@/components/ui/reachable";
import type { TabId } from "./filters";

const NOTHING: Record<TabId, string> = {
  all: "No tasks yet",
  queued: "Nothing is waiting in line",
  running: "Nothing is running right now",
  completed: "Nothing has completed yet",
  failed: "Nothing has failed",
  cancelled: "Nothing was cancelled",
  scheduled: "Nothing is scheduled",
};
const HINT: Record<TabId, string> = {
  all: "",
  queued: "Every task has found a worker.",
  running: "New tasks show up here the moment a worker takes them.",
  completed: "What ends well is kept here with its output.",
  failed: "Tasks that use up their attempts would be listed here, ready to be tried again.",
  cancelled: "What you stop is kept here and can be tried again.",
  scheduled: "Tasks for later and tasks between two attempts wait here.",
};

/** `unread`: older tasks were not looked through yet. */
export function NothingHere(props: { tab: TabId; unread: boolean; onClear: (() => void) | undefined }) {
  const { tab, unread, onClear } = props;
  const title = unread ? "Nothing found so far" : onClear ? "No task matches" : NOTHING[tab];
  const hint = unread
    ? "Older tasks have not been looked through yet: load more."
    : onClear
      ? "Loosen the filter, or look at all tasks."
      : HINT[tab];
  return (
    <div className="flex flex-col items-center px-6 py-16 text-center">
      <Bubbles />
      <p className="mt-5 text-lg font-semibold">{title}</p>
      <p className="mt-1 max-w-sm text-sm text-ink-faint">{hint}</p>
      {onClear ? (
        <Button className="mt-5" onClick={onClear}>
          Clear the filter
        </Button>
      ) : null}
    </div>
  );
}

/** The first look: what this is, and three ways to begin. */
export function FirstTask({ user, kinds }: { user: string; kinds: KindInfo[] }) {
  const origin = useOrigin();
  const ready = kinds.filter((one) => one.served && one.example !== undefined);
  // A file would have to be sent first, which is no first line to copy; a task that needs no network shows most.
  const kind =
    ready.find((one) => one.kind === "noop") ??
    ready.find((one) => !JSON.stringify(one.schema).includes('"format":"file"')) ??
    ready[0];
  const name = kind?.kind ?? "http.request";
  const payload = JSON.stringify(kind?.example ?? { url: "https://example.com" });
  const snippets = [
    {
      id: "cli",
      label: "Command line",
      text: [
        `export TASKTONIC_URL=${origin}`,
        `export TASKTONIC_TOKEN=$(tasktonic token mint --user ${user})`,
        `tasktonic submit ${name} --follow \\`,
        `  --data '${payload}'`,
      ].join("\n"),
    },
    {
      id: "curl",
      label: "curl",
      text: [
        `curl ${origin}/api/v1/tasks \\`,
        `  -H "authorization: Bearer $TASKTONIC_TOKEN" \\`,
        `  -H "content-type: application/json" \\`,
        `  -d '{"kind":"${name}","payload":${payload}}'`,
      ].join("\n"),
    },
    {
      id: "ts",
      label: "TypeScript",
      text: [
        `import { ApiClient } from "@tasktonic/client";`,
        "",
        `const tasktonic = new ApiClient({ baseUrl: "${origin}", token });`,
        `const task = await tasktonic.submit({ kind: "${name}", payload: ${payload} });`,
      ].join("\n"),
    },
  ];
  return (
    <div className="grid gap-10 px-6 py-12 lg:grid-cols-2 lg:items-center lg:px-12 lg:py-16">
      <div>
        <Bubbles />
        <h2 className="mt-5 text-xl font-semibold">Nothing has been asked for yet</h2>
        <p className="mt-2 max-w-md text-ink-soft">
          Hand over a task and watch it here: its progress, its log and its output, live. It is done even if you close
          this page, and done again if a worker dies half way.
        </p>
        <Button asChild look="solid" size="lg" className="mt-6">
          <Link href="/new">
            <Plus /> Run your first task
          </Link>
        </Button>
      </div>
      <Radix.Root defaultValue="cli" className="min-w-0 overflow-hidden rounded-lg border border-line bg-sunken">
        <Radix.List aria-label="From a program" className="flex gap-1 border-b border-line px-2">
          {snippets.map(({ id, label }) => (
            <Radix.Trigger
              key={id}
              value={id}
              className="h-9 rounded-md px-2.5 text-xs font-medium text-ink-faint -outline-offset-2 data-[state=active]:text-ink"
            >
              {label}
            </Radix.Trigger>
          ))}
        </Radix.List>
        {snippets.map(({ id, text }) => (
          <Radix.Content key={id} value={id} className="relative -outline-offset-2">
            <pre
              {...reachable}
              className="overflow-x-auto p-4 pr-12 font-mono text-xs leading-relaxed whitespace-pre text-ink-soft -outline-offset-2"
            >
              {text}
            </pre>
            <CopyButton text={text} label="Copy this" className="absolute top-2 right-2 bg-sunken" />
          </Radix.Content>
        ))}
      </Radix.Root>
    </div>
  );
}

/** A resting glass: the mark's bubbles, at peace. */
export function Bubbles() {
  return (
    <svg viewBox="0 0 96 56" aria-hidden className="h-14 w-24">
      <circle cx="48" cy="36" r="16" fill="var(--citrus)" />
      <circle cx="48" cy="36" r="15.5" fill="none" stroke="var(--on-citrus)" strokeOpacity=".18" />
      <circle cx="21" cy="43" r="9" fill="none" stroke="var(--line-strong)" strokeWidth="1.5" />
      <circle cx="76" cy="26" r="7" fill="none" stroke="var(--line-strong)" strokeWidth="1.5" />
      <circle cx="66" cy="9" r="4" fill="none" stroke="var(--line-strong)" strokeWidth="1.5" />
      <circle cx="29" cy="17" r="2.5" fill="var(--line-strong)" />
      <path
        d="M40 33a9 9 0 0 1 6-6"
        stroke="#fff"
        strokeOpacity=".8"
        strokeWidth="2.5"
        strokeLinecap="round"
        fill="none"
      />
    </svg>
  );
}

/** Known only in the browser; until then the name people use in examples. */
export const useOrigin = (): string =>
  useSyncExternalStore(
    () => () => {},
    () => location.origin,
    () => "http://localhost:8080",
  );
