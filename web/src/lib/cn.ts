import { type ClassValue, clsx } from "clsx";
import { extendTailwindMerge } from "tailwind-merge";

/** Without this our own text sizes would pass for colours, and the later of the two would vanish. */
const merge = extendTailwindMerge({
  extend: { classGroups: { "font-size": [{ text: ["2xs", "xs", "sm", "base", "lg", "xl", "2xl"] }] } },
});

export const cn = (...classes: ClassValue[]): string => merge(clsx(classes));
