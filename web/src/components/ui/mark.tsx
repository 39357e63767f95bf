import { cn } from "@/lib/cn";

/** Three bubbles on their way up. */
export function Mark({ className }: { className?: string }) {
  return (
    <svg viewBox="0 0 32 32" aria-hidden className={cn("size-7", className)}>
      <rect width="32" height="32" rx="9" fill="var(--citrus)" />
      <g fill="var(--on-citrus)">
        <circle cx="12" cy="21" r="5.25" />
        <circle cx="20.4" cy="14.2" r="3.3" />
        <circle cx="15.2" cy="8.6" r="1.9" />
      </g>
    </svg>
  );
}

export function Wordmark({ className }: { className?: string }) {
  return (
    <span className={cn("flex items-center gap-2.5 text-[15px] font-semibold tracking-[-0.02em]", className)}>
      <Mark />
      Task Tonic
    </span>
  );
}
