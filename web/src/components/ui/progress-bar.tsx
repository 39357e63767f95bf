import type { Progress } from "@tasktonic/client";
import { cn } from "@/lib/cn";
import { fraction, progressText } from "@/lib/format";

/** The live bar. A total that nobody knows yet shows as movement, not as a number. */
export function ProgressBar(props: { progress: Progress | null; label: string; live: boolean; className?: string }) {
  const part = fraction(props.progress);
  return (
    <div
      data-slot="progress"
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(part === undefined ? {} : { "aria-valuenow": Math.round(part * 100) })}
      aria-valuetext={progressText(props.progress) ?? "Under way"}
      className={cn(
        "relative h-1.5 w-full overflow-hidden rounded-full",
        props.live ? "bg-track" : "bg-line",
        props.className,
      )}
    >
      {part === undefined ? (
        props.live ? (
          <div className="bar-unknown absolute inset-y-0 w-1/3 rounded-full bg-bar" />
        ) : null
      ) : (
        <div
          className={cn(
            "relative h-full overflow-hidden rounded-full transition-[width] duration-300 ease-out",
            props.live ? "bar-live bg-bar" : "bg-ink-faint",
          )}
          style={{ width: `${part * 100}%` }}
        />
      )}
    </div>
  );
}
