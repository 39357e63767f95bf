"use client";

import { Tabs as Radix } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "@/lib/cn";

export const Tabs = Radix.Root;

export function TabList({ className, ...rest }: ComponentProps<typeof Radix.List>) {
  return (
    <Radix.List
      data-slot="tab-list"
      className={cn("hide-scrollbar fades-at-end flex gap-1 overflow-x-auto border-b border-line", className)}
      {...rest}
    />
  );
}
export const tabStyle =
  "relative inline-flex h-10 shrink-0 items-center gap-1.5 rounded-t-md px-3 text-sm font-medium text-ink-soft transition-colors outline-offset-[-2px] hover:text-ink after:absolute after:inset-x-2 after:-bottom-px after:h-0.5 after:rounded-full data-[state=active]:text-ink data-[state=active]:after:bg-ink";
export function Tab({ className, ...rest }: ComponentProps<typeof Radix.Trigger>) {
  return <Radix.Trigger data-slot="tab" className={cn(tabStyle, className)} {...rest} />;
}
export function TabPanel({ className, ...rest }: ComponentProps<typeof Radix.Content>) {
  return <Radix.Content data-slot="tab-panel" className={cn("pt-5", className)} {...rest} />;
}
