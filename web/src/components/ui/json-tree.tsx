import type { Json } from "@tasktonic/client";
import { ChevronRight } from "lucide-react";
import { cn } from "@/lib/cn";

/** Children drawn at once; a list of ten thousand numbers is read better in the raw text. */
const SHOWN_MAX = 200;
const OPEN_DEPTH = 2;

/** JSON to read and fold. Keyboard and screen readers get it from `<details>`. */
export function JsonTree({ value, className }: { value: Json; className?: string }) {
  return (
    <div data-slot="json" className={cn("overflow-x-auto font-mono text-xs leading-6", className)}>
      <Node value={value} depth={0} />
    </div>
  );
}

function Node({ name, value, depth }: { name?: string; value: Json; depth: number }) {
  const label = name === undefined ? null : <span className="text-ink-soft">{name}: </span>;
  if (value === null || typeof value !== "object") {
    return (
      <div className="pl-4 break-words whitespace-pre-wrap">
        {label}
        <Leaf value={value} />
      </div>
    );
  }
  const entries: [string, Json][] = Array.isArray(value)
    ? value.map((item, index) => [String(index), item])
    : Object.entries(value);
  const summary = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  if (entries.length === 0) {
    return (
      <div className="pl-4">
        {label}
        <span className="text-ink-faint">{Array.isArray(value) ? "[]" : "{}"}</span>
      </div>
    );
  }
  return (
    <details open={depth < OPEN_DEPTH && entries.length <= 50} className="group/node">
      <summary className="flex cursor-pointer list-none items-center rounded-sm hover:bg-hover [&::-webkit-details-marker]:hidden">
        <ChevronRight
          aria-hidden
          className="size-4 shrink-0 text-ink-faint transition-transform [details[open]>summary>&]:rotate-90"
        />
        {label}
        <span className="ml-1 text-ink-faint">{summary}</span>
      </summary>
      <div className="ml-[7px] border-l border-line pl-2">
        {entries.slice(0, SHOWN_MAX).map(([key, item]) => (
          <Node key={key} name={key} value={item} depth={depth + 1} />
        ))}
        {entries.length > SHOWN_MAX ? (
          <p className="pl-4 text-ink-faint">and {entries.length - SHOWN_MAX} more, in Raw</p>
        ) : null}
      </div>
    </details>
  );
}

function Leaf({ value }: { value: string | number | boolean | null }) {
  if (typeof value === "string") return <span className="text-green">{JSON.stringify(value)}</span>;
  if (typeof value === "number") return <span className="text-blue">{value}</span>;
  if (typeof value === "boolean") return <span className="text-violet">{String(value)}</span>;
  return <span className="text-ink-faint">null</span>;
}
