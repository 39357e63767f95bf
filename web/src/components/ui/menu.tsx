"use client";

import { DropdownMenu as Radix } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "@/lib/cn";

export const Menu = Radix.Root;
export const MenuTrigger = Radix.Trigger;
export const MenuRadioGroup = Radix.RadioGroup;

const item =
  "flex min-h-9 cursor-default items-center gap-2.5 rounded-md px-2.5 text-sm outline-none select-none data-[disabled]:opacity-50 data-[highlighted]:bg-hover sm:min-h-8 [&_svg]:size-4 [&_svg]:text-ink-faint";

export function MenuContent({ className, ...rest }: ComponentProps<typeof Radix.Content>) {
  return (
    <Radix.Portal>
      <Radix.Content
        data-slot="menu"
        sideOffset={6}
        collisionPadding={12}
        className={cn("z-50 min-w-48 animate-fade rounded-lg border border-line bg-raised p-1 shadow-float", className)}
        {...rest}
      />
    </Radix.Portal>
  );
}
export function MenuItem({ className, ...rest }: ComponentProps<typeof Radix.Item>) {
  return <Radix.Item data-slot="menu-item" className={cn(item, className)} {...rest} />;
}
export function MenuRadioItem({ className, ...rest }: ComponentProps<typeof Radix.RadioItem>) {
  return (
    <Radix.RadioItem
      data-slot="menu-radio"
      className={cn(item, "data-[state=checked]:font-medium data-[state=checked]:[&_svg]:text-link", className)}
      {...rest}
    />
  );
}
export function MenuLabel({ className, ...rest }: ComponentProps<typeof Radix.Label>) {
  return <Radix.Label className={cn("px-2.5 py-1.5 text-xs text-ink-faint", className)} {...rest} />;
}
export function MenuLine() {
  return <Radix.Separator className="my-1 h-px bg-line" />;
}
