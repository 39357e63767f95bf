"use client";

import { CirclePause, Gauge, type LucideIcon, Play } from "lucide-react";
import Link from "next/link";
import { type ReactNode, useId } from "react";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { Prose } from "@/components/ui/prose";
import { queueHref } from "@/features/queues/names";
import { usePauseOwn } from "@/features/queues/use-pause";
import { cn } from "@/lib/cn";
import type { Asked, Cure, WhyWords } from "../why-words";

/** The answer to what everybody asks of a task that does not run. */
export function WhyNot(props: {
  icon: LucideIcon;
  /** Something is in its way, and somebody can do something about it. */
  blocked?: boolean;
  title: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
}) {
  const { icon: Icon, blocked, title, children, actions } = props;
  const id = useId();
  return (
    <section
      aria-labelledby={id}
      data-slot="why"
      className={cn(
        "flex gap-3 rounded-lg border px-4 py-3.5 text-sm text-ink-soft",
        blocked ? "border-amber/30 bg-amber-wash" : "border-line bg-sunken",
      )}
    >
      <Icon aria-hidden className={cn("mt-0.5 size-4 shrink-0", blocked ? "text-amber" : "text-ink-faint")} />
      <div className="tabular min-w-0 flex-1">
        <h2 id={id} className={cn("text-xs tracking-normal", blocked ? "text-ink-soft" : "text-ink-faint")}>
          Why is it not running?
        </h2>
        <div className="mt-0.5 font-medium text-ink">{title}</div>
        {children}
        {actions ? <div className="mt-2.5 flex flex-wrap gap-2">{actions}</div> : null}
      </div>
    </section>
  );
}

/** What stands in the way of a task, what to do about it, and where to look. */
export function Blocked(props: { task: Asked; words: WhyWords; onChanged: () => void; children?: ReactNode }) {
  const { task, words, onChanged, children } = props;
  return (
    <WhyNot
      blocked={!words.calm}
      icon={words.calm ? Gauge : CirclePause}
      title={<p data-testid="why">{words.title}</p>}
      actions={
        words.cures.length === 0
          ? undefined
          : words.cures.map((cure) => (
              <CureButton key={cure} cure={cure} queue={task.queue} behind={words.behind} onChanged={onChanged} />
            ))
      }
    >
      <p className="mt-0.5 [overflow-wrap:anywhere]">
        <Prose text={words.text} />
        {words.command ? ":" : null}
      </p>
      {words.command ? (
        <p className="mt-1.5 flex w-fit max-w-full items-center gap-1 rounded-md border border-line bg-surface py-0.5 pr-0.5 pl-2.5">
          <code className="min-w-0 font-mono text-xs [overflow-wrap:anywhere] text-ink">{words.command}</code>
          <CopyButton text={words.command} label="Copy the command" />
        </p>
      ) : null}
      {children ? <p className="mt-0.5 text-xs">{children}</p> : null}
    </WhyNot>
  );
}

function CureButton(props: { cure: Cure; queue: string; behind: string | undefined; onChanged: () => void }) {
  const { cure, queue, behind, onChanged } = props;
  const { busy, pause } = usePauseOwn();
  switch (cure) {
    case "resume":
      return (
        <Button
          busy={busy}
          onClick={async () => {
            if (await pause(false)) onChanged();
          }}
        >
          {busy ? null : <Play />} Resume my work
        </Button>
      );
    case "queue":
      return (
        <Button asChild>
          <Link href={queueHref(queue)}>Look at its queue</Link>
        </Button>
      );
    case "task":
      return (
        <Button asChild>
          <Link href={`/tasks/${behind}`}>Look at that task</Link>
        </Button>
      );
    case "queues":
      return (
        <Button asChild look="ghost">
          <Link href="/queues">To the queues</Link>
        </Button>
      );
    default:
      return cure satisfies never;
  }
}
