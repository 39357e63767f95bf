import type { AttemptOutcome, TaskStatus } from "@tasktonic/client";
import {
  CalendarClock,
  CircleAlert,
  CircleCheck,
  CircleDashed,
  CircleSlash,
  CircleStop,
  CircleX,
  Hourglass,
  LoaderCircle,
  type LucideIcon,
  MoonStar,
  RotateCw,
  Undo2,
  Unplug,
} from "lucide-react";
import { cn } from "@/lib/cn";

type Tone = "slate" | "violet" | "blue" | "amber" | "orange" | "green" | "red";
type Face = { label: string; tone: Tone; icon: LucideIcon; hint: string; turns?: boolean };

/** Every status has a face: an icon, a word and a tone. A status without one does not compile. */
export const STATUS_FACE: Record<TaskStatus, Face> = {
  scheduled: { label: "Scheduled", tone: "violet", icon: CalendarClock, hint: "Starts at the time that was asked for" },
  retrying: { label: "Retrying", tone: "amber", icon: RotateCw, hint: "An attempt failed; the next one is due soon" },
  waiting: { label: "Waiting", tone: "slate", icon: Hourglass, hint: "Waits for other tasks to end" },
  queued: { label: "Queued", tone: "slate", icon: CircleDashed, hint: "In line for the next free worker" },
  running: { label: "Running", tone: "blue", icon: LoaderCircle, hint: "A worker is at it", turns: true },
  cancelling: { label: "Cancelling", tone: "orange", icon: CircleStop, hint: "The worker was asked to stop" },
  completed: { label: "Completed", tone: "green", icon: CircleCheck, hint: "Done; the output is there" },
  cancelled: { label: "Cancelled", tone: "slate", icon: CircleSlash, hint: "Stopped before it completed" },
  failed: { label: "Failed", tone: "red", icon: CircleX, hint: "Used up its attempts; it can be tried again" },
};

export const OUTCOME_FACE: Record<AttemptOutcome, Face> = {
  running: { label: "Running", tone: "blue", icon: LoaderCircle, hint: "Under way", turns: true },
  succeeded: { label: "Succeeded", tone: "green", icon: CircleCheck, hint: "Ended with an output" },
  failed: { label: "Failed", tone: "red", icon: CircleAlert, hint: "Ended with an error" },
  lost: { label: "Worker lost", tone: "orange", icon: Unplug, hint: "The worker stopped reporting" },
  released: { label: "Given back", tone: "slate", icon: Undo2, hint: "The worker shut down; not counted" },
  snoozed: { label: "Snoozed", tone: "violet", icon: MoonStar, hint: "The handler asked for later; not counted" },
  cancelled: { label: "Cancelled", tone: "slate", icon: CircleSlash, hint: "Stopped on request" },
};

const TEXT: Record<Tone, string> = {
  slate: "text-slate",
  violet: "text-violet",
  blue: "text-blue",
  amber: "text-amber",
  orange: "text-orange",
  green: "text-green",
  red: "text-red",
};
const WASH: Record<Tone, string> = {
  slate: "bg-slate-wash",
  violet: "bg-violet-wash",
  blue: "bg-blue-wash",
  amber: "bg-amber-wash",
  orange: "bg-orange-wash",
  green: "bg-green-wash",
  red: "bg-red-wash",
};

export const toneText = (tone: Tone) => TEXT[tone];
export const toneWash = (tone: Tone) => WASH[tone];

type FaceProps = { chip?: boolean; className?: string };

export function StatusFace({ status, ...rest }: FaceProps & { status: TaskStatus }) {
  return <FaceMark face={STATUS_FACE[status]} name={status} {...rest} />;
}
export function OutcomeMark({ outcome, ...rest }: FaceProps & { outcome: AttemptOutcome }) {
  return <FaceMark face={OUTCOME_FACE[outcome]} name={outcome} {...rest} />;
}

function FaceMark({ face, name, chip, className }: FaceProps & { face: Face; name: string }) {
  const Icon = face.icon;
  return (
    <span
      data-slot="status"
      data-status={name}
      title={face.hint}
      className={cn(
        "inline-flex items-center gap-1.5 text-sm font-medium whitespace-nowrap",
        TEXT[face.tone],
        chip && cn("h-7 rounded-full pr-3 pl-2", WASH[face.tone]),
        className,
      )}
    >
      <Icon aria-hidden className={cn("size-4 shrink-0", face.turns && "animate-slow-spin")} strokeWidth={2.25} />
      {face.label}
    </span>
  );
}
