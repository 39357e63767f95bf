"use client";

import { type ReactElement, type ReactNode, useId, useState } from "react";

/**
 * Says more about the button it wraps, to whoever points at it or comes to it by key; Escape puts it away.
 * Never the only place where something is said.
 */
export function Tooltip({ text, children }: { text: ReactNode; children: (describedBy: string) => ReactElement }) {
  const id = useId();
  const [away, setAway] = useState(false);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the button inside is what is used; this only watches
    <span
      className="group/tip relative inline-flex"
      onKeyDown={(event) => event.key === "Escape" && setAway(true)}
      onPointerLeave={() => setAway(false)}
      onBlur={() => setAway(false)}
    >
      {children(id)}
      <span
        id={id}
        role="tooltip"
        data-slot="tooltip"
        hidden={away}
        className="pointer-events-none invisible absolute top-full right-0 z-50 mt-1.5 w-max max-w-64 rounded-md bg-ink px-2.5 py-1.5 text-xs text-canvas opacity-0 shadow-float transition-[opacity,visibility] delay-0 duration-150 group-focus-within/tip:group-has-focus-visible/tip:visible group-focus-within/tip:group-has-focus-visible/tip:opacity-100 group-hover/tip:visible group-hover/tip:opacity-100 group-hover/tip:delay-300"
      >
        {text}
      </span>
    </span>
  );
}
