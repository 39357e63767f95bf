"use client";

import type { ConnectionStatus } from "@tasktonic/client";
import { useConnection } from "@tasktonic/react";
import { useEffect, useState } from "react";

/** A break shorter than this is not worth a word. */
const PATIENCE_MS = 900;

/** A renewed token reconnects in a blink; only a break that lasts is told. */
export function usePatience(status: ConnectionStatus): ConnectionStatus {
  const [told, setTold] = useState(status);
  useEffect(() => {
    if (status !== "reconnecting") {
      setTold(status);
      return;
    }
    const timer = setTimeout(() => setTold(status), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [status]);
  return told;
}

/**
 * Since when nothing is heard from the server, ms since 1970; undefined while something is. What is shown
 * then is as of that moment: nothing counts on, for nobody knows whether anything goes on.
 */
export function useSilence(): number | undefined {
  const { status, wasLive } = useConnection();
  const told = usePatience(status);
  const away = told === "offline" || (told === "reconnecting" && wasLive);
  const [since, setSince] = useState<number>();
  useEffect(() => setSince(away ? (old) => old ?? Date.now() : undefined), [away]);
  return away ? since : undefined;
}
