"use client";

import type { ConnectionStatus } from "@tasktonic/client";
import { useConnection } from "@tasktonic/react";
import { CloudOff, LoaderCircle, type LucideIcon, Radio, RefreshCw } from "lucide-react";
import { Tooltip } from "@/components/ui/tooltip";
import { cn } from "@/lib/cn";
import { usePatience } from "@/lib/line";

type Face = { label: string; hint: string; icon: LucideIcon; look: string; turns?: boolean };

const FACES: Record<ConnectionStatus, Face> = {
  live: { label: "Live", hint: "What you see is what is", icon: Radio, look: "text-ink-soft" },
  reconnecting: {
    label: "Reconnecting",
    hint: "The connection broke. What you see may be a little old; it catches up by itself.",
    icon: LoaderCircle,
    look: "bg-amber-wash text-amber",
    turns: true,
  },
  polling: {
    label: "Polling",
    hint: "No live connection gets through; the page asks every few seconds instead.",
    icon: RefreshCw,
    look: "bg-amber-wash text-amber",
  },
  offline: {
    label: "Offline",
    hint: "The server cannot be reached. What you see is as of then; this page tries again by itself.",
    icon: CloudOff,
    look: "bg-red-wash text-red",
  },
};
const CONNECTING: Face = { ...FACES.reconnecting, label: "Connecting", hint: "One moment", look: "text-ink-faint" };

export function ConnectionChip() {
  const { status, wasLive, lagMs } = useConnection();
  const patient = usePatience(status);
  const face = patient === "reconnecting" && !wasLive ? CONNECTING : FACES[patient];
  const Icon = face.icon;
  const hint = patient === "live" && lagMs !== undefined ? `${face.hint}. Round trip ${lagMs} ms.` : face.hint;
  return (
    <Tooltip text={hint}>
      {(id) => (
        <button
          type="button"
          aria-describedby={id}
          data-slot="connection"
          data-connection={status}
          className={cn(
            "inline-flex h-7 cursor-default items-center gap-1.5 rounded-full px-2.5 text-xs font-medium whitespace-nowrap transition-colors",
            face.look,
          )}
        >
          {patient === "live" ? (
            <span aria-hidden className="relative grid size-3 place-items-center">
              <span className="absolute size-3 animate-breathe rounded-full bg-citrus-deep/40" />
              <span className="size-1.5 rounded-full bg-[light-dark(oklch(0.6_0.17_135),var(--citrus))]" />
            </span>
          ) : (
            <Icon aria-hidden className={cn("size-3.5", face.turns && "animate-spin")} />
          )}
          <span aria-live="polite">{face.label}</span>
        </button>
      )}
    </Tooltip>
  );
}
