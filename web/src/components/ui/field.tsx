import type { ComponentProps, ReactNode } from "react";
import { cn } from "@/lib/cn";
import { Prose } from "./prose";

const box =
  "w-full rounded-md border border-line-strong bg-surface px-3 text-base text-ink shadow-soft transition-colors placeholder:text-ink-faint hover:border-ink-faint focus-visible:border-ring focus-visible:outline-offset-0 aria-invalid:border-red disabled:opacity-60 max-sm:text-[16px]";

export function Input({ className, ...rest }: ComponentProps<"input">) {
  return <input data-slot="input" className={cn(box, "h-10 sm:h-9", className)} {...rest} />;
}

export function Textarea({ className, ...rest }: ComponentProps<"textarea">) {
  return (
    <textarea
      data-slot="textarea"
      spellCheck={false}
      className={cn(box, "min-h-28 py-2 leading-relaxed", className)}
      {...rest}
    />
  );
}

export function NativeSelect({ className, ...rest }: ComponentProps<"select">) {
  return (
    <select data-slot="select" className={cn(box, "chevron h-10 appearance-none pr-9 sm:h-9", className)} {...rest} />
  );
}

/** A label, what it labels, a hint, and the error that belongs to it. */
export function Field(props: {
  id: string;
  label: ReactNode;
  hint?: ReactNode;
  error?: string | undefined;
  required?: boolean;
  optional?: boolean;
  /** The label is for those who hear the page: what stands around says it to those who see it. */
  bare?: boolean;
  className?: string;
  children: ReactNode;
}) {
  return (
    <div data-slot="field" className={cn("flex flex-col gap-1.5", props.className)}>
      <label
        htmlFor={props.id}
        className={cn("flex items-baseline gap-2 text-sm font-medium", props.bare && "sr-only")}
      >
        {props.label}
        {props.optional ? <span className="text-xs font-normal text-ink-faint">optional</span> : null}
      </label>
      {props.children}
      {/* Below, so that fields side by side are in one line however much there is to say about them. */}
      {props.hint ? (
        <p id={`${props.id}-hint`} className="text-xs text-ink-faint">
          {typeof props.hint === "string" ? <Prose text={props.hint} /> : props.hint}
        </p>
      ) : null}
      <FieldError id={`${props.id}-error`} text={props.error} />
    </div>
  );
}

export function FieldError({ id, text }: { id: string; text: string | undefined }) {
  if (!text) return null;
  return (
    <p id={id} className="text-xs font-medium [overflow-wrap:anywhere] text-red first-letter:uppercase">
      <Prose text={text} />
    </p>
  );
}

/** The ids an input names so that its hint and error are read out with it. */
export const describedBy = (id: string, hint: unknown, error: unknown): string | undefined =>
  [hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" ") || undefined;
