import type { ComponentProps, ReactNode } from "react";
import { cn } from "@/lib/cn";

/** A shape that stands for what is still on its way. */
export function Skeleton({ className, ...rest }: ComponentProps<"div">) {
  return (
    <div data-slot="skeleton" aria-hidden className={cn("animate-breathe rounded-md bg-line", className)} {...rest} />
  );
}

export function Kbd({ className, ...rest }: ComponentProps<"kbd">) {
  return (
    <kbd
      data-slot="kbd"
      className={cn(
        "inline-grid h-5 pointer-coarse:hidden min-w-5 place-items-center rounded-sm border border-line-strong bg-surface px-1 font-sans text-2xs font-medium text-ink-faint",
        className,
      )}
      {...rest}
    />
  );
}

export function Card({ className, ...rest }: ComponentProps<"section">) {
  return (
    <section
      data-slot="card"
      className={cn("rounded-lg border border-line bg-surface shadow-soft", className)}
      {...rest}
    />
  );
}

export function Tag({ className, ...rest }: ComponentProps<"span">) {
  return (
    <span
      data-slot="tag"
      // What is cut off can still be read.
      title={typeof rest.children === "string" ? rest.children : undefined}
      className={cn(
        "inline-block h-5 max-w-40 truncate rounded-sm border border-line bg-sunken px-1.5 align-middle text-2xs leading-4.5 font-medium text-ink-soft",
        className,
      )}
      {...rest}
    />
  );
}

/** A calm sentence where something failed, with the way on. */
export function Notice(props: { tone?: "red" | "amber"; title: string; children?: ReactNode; className?: string }) {
  const tone = props.tone === "amber" ? "border-amber/30 bg-amber-wash" : "border-red/30 bg-red-wash";
  return (
    <div
      data-slot="notice"
      role="alert"
      className={cn("rounded-lg border px-4 py-3 text-sm text-ink", tone, props.className)}
    >
      <p className="font-medium">{props.title}</p>
      {props.children ? <div className="mt-0.5 text-ink-soft">{props.children}</div> : null}
    </div>
  );
}
