"use client";

import type { Task } from "@tasktonic/client";
import { ChevronRight } from "lucide-react";
import { policyLines } from "../policy-words";

/** How this task is attempted and kept, in plain words. */
export function Policy({ task }: { task: Task }) {
  const lines = policyLines(task);
  if (lines.length === 0) return null;
  return (
    <details
      className="group mt-6 max-w-3xl rounded-lg border border-line bg-surface"
      open={task.status === "retrying"}
    >
      <summary className="flex cursor-pointer list-none items-center gap-2 rounded-lg px-4 py-3 text-sm font-medium [&::-webkit-details-marker]:hidden">
        <ChevronRight aria-hidden className="size-4 text-ink-faint transition-transform group-open:rotate-90" />
        How it is attempted
      </summary>
      <dl className="grid grid-cols-[auto_minmax(0,1fr)] gap-x-6 gap-y-2 px-4 pt-1 pb-4 text-sm">
        {lines.map(({ name, code, text }) => (
          <div key={`${name} ${code ?? ""}`} className="col-span-2 grid grid-cols-subgrid items-baseline">
            <dt className="text-ink-faint">
              {name} {code ? <span className="font-mono text-xs text-ink-soft">{code}</span> : null}
            </dt>
            <dd className="tabular">{text}</dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
