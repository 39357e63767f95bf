import { CirclePause, CirclePlay, type LucideIcon, Unplug } from "lucide-react";
import { cn } from "@/lib/cn";
import { type QueueState, STATE_WORDS } from "./words";

/** Every state has an icon, a word and a tone; one without does not compile. */
const FACE: Record<QueueState, { icon: LucideIcon; tone: string }> = {
  queue_paused: { icon: CirclePause, tone: "text-amber" },
  operator_paused: { icon: CirclePause, tone: "text-amber" },
  user_paused: { icon: CirclePause, tone: "text-amber" },
  user_paused_in_queue: { icon: CirclePause, tone: "text-amber" },
  no_worker: { icon: Unplug, tone: "text-orange" },
  open: { icon: CirclePlay, tone: "text-green" },
};

export function StateChip({ state, className }: { state: QueueState; className?: string }) {
  const { icon: Icon, tone } = FACE[state];
  const { label, says } = STATE_WORDS[state];
  return (
    <span
      data-queue-state={state}
      title={says}
      className={cn("inline-flex items-center gap-1.5 text-sm font-medium", tone, className)}
    >
      <Icon aria-hidden className="size-4 shrink-0" />
      {label}
    </span>
  );
}
