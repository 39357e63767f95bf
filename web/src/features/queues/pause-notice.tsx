"use client";

import type { Pause } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { Play } from "lucide-react";
import { useCallback, useEffect, useState } from "react";
import { Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { useFresh } from "@/lib/fresh";
import { usePauseOwn } from "./use-pause";

/** Says that all work of whoever looks is paused, by whom, and what to do about it. */
export function PauseNotice(props: { pause: Pause; onPause?: (pause: Pause) => void; className?: string }) {
  const { busy, pause: say } = usePauseOwn();
  const [pause, setPause] = useState(props.pause);
  useEffect(() => setPause(props.pause), [props.pause]);
  if (!pause.paused) return null;
  const resume = async () => {
    const now = await say(false);
    if (!now) return;
    setPause(now);
    props.onPause?.(now);
  };
  return (
    <Notice
      tone="amber"
      title={pause.by_user ? "You have paused all your work" : "All your work is paused"}
      {...(props.className ? { className: props.className } : {})}
    >
      <p>
        {pause.by_user ? "Nothing of yours is started until you resume it. What runs goes on. " : ""}
        {pause.by_operator
          ? `Whoever runs this installation has paused it${pause.by_user ? " too" : ""}: ask them to resume it.`
          : ""}
      </p>
      {pause.by_user ? (
        <Button className="mt-2.5" busy={busy} onClick={() => void resume()}>
          {busy ? null : <Play />} Resume my work
        </Button>
      ) : null}
    </Notice>
  );
}

/** The same on a page that reads nothing else of it: gone as soon as somebody has resumed it elsewhere. */
export function LivePauseNotice({ pause: initial, className }: { pause: Pause; className?: string }) {
  const { api } = useLive();
  const read = useCallback((signal: AbortSignal) => api.paused(undefined, signal), [api]);
  const { value: pause = initial, set } = useFresh(read, initial);
  return <PauseNotice pause={pause} onPause={set} {...(className ? { className } : {})} />;
}
