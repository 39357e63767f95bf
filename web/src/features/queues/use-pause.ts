"use client";

import type { Pause } from "@tasktonic/client";
import { useCallback, useState } from "react";
import { toast } from "sonner";
import { call } from "@/lib/call";
import { pauseOwn } from "./actions";

/** Pauses or resumes one's own work and says what follows. The answer is how it is now, if it could be had. */
export function usePauseOwn(): { busy: boolean; pause: (paused: boolean) => Promise<Pause | undefined> } {
  const [busy, setBusy] = useState(false);
  const pause = useCallback(async (paused: boolean) => {
    setBusy(true);
    const result = await call(() => pauseOwn({ paused }));
    setBusy(false);
    if (!result.ok) {
      toast.error(paused ? "Not paused" : "Not resumed", { id: "pause", description: result.message });
      return undefined;
    }
    if (paused) {
      toast("Your work is paused", {
        id: "pause",
        description: "What runs goes on; nothing else of yours is started.",
      });
    } else if (result.value.by_operator) {
      toast("You have resumed your work", {
        id: "pause",
        description: "Whoever runs this installation has paused it too, so nothing is started yet.",
      });
    } else {
      toast.success("Your work goes on", { id: "pause" });
    }
    return result.value;
  }, []);
  return { busy, pause };
}
