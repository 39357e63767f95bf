"use client";

import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import type { ReactNode } from "react";
import { cn } from "@/lib/cn";
import { Button } from "./button";

export const Dialog = Radix.Root;
export const DialogTrigger = Radix.Trigger;
export const DialogClose = Radix.Close;

export function DialogContent(props: {
  title: string;
  description?: string;
  /** The title is read out, not shown. */
  bare?: boolean;
  className?: string;
  children: ReactNode;
}) {
  return (
    <Radix.Portal>
      <Radix.Overlay className="fixed inset-0 z-50 animate-fade bg-[oklch(0.15_0.01_150/0.45)] backdrop-blur-[2px]" />
      <Radix.Content
        data-slot="dialog"
        {...(props.description ? {} : { "aria-describedby": undefined })}
        className={cn(
          "fixed top-[12vh] left-1/2 z-50 flex max-h-[80vh] w-[calc(100vw-2rem)] max-w-lg -translate-x-1/2 animate-fade flex-col overflow-hidden rounded-xl border border-line bg-raised shadow-float outline-none",
          props.className,
        )}
      >
        <div className={props.bare ? "sr-only" : "flex items-start gap-4 px-5 pt-4 pb-1"}>
          <div className="min-w-0 flex-1">
            <Radix.Title className="text-lg font-semibold">{props.title}</Radix.Title>
            {props.description ? (
              <Radix.Description className="mt-1 text-sm text-ink-soft">{props.description}</Radix.Description>
            ) : null}
          </div>
          {props.bare ? null : (
            <Radix.Close asChild>
              <Button look="ghost" size="icon-sm" aria-label="Close" className="-mr-2">
                <X />
              </Button>
            </Radix.Close>
          )}
        </div>
        {props.children}
      </Radix.Content>
    </Radix.Portal>
  );
}
