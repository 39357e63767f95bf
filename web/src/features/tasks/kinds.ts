import type { KindInfo } from "@tasktonic/client";

/** The product's own kinds: nobody submits them, so no list of kinds has them. */
const BUILT_IN: Record<string, string> = {
  "tasktonic.bulk": "Change many tasks",
  "tasktonic.flow": "Group of tasks",
};
/** A flow, or a batch that nothing follows: it never runs, and ends when its tasks have. */
export const isGroup = (kind: string): boolean => kind === "tasktonic.flow";
export const isBuiltIn = (kind: string): boolean => kind.startsWith("tasktonic.");

/** What people call a kind: its title, or its code where it has none. */
export function titlesOf(kinds: readonly KindInfo[]): (kind: string) => string {
  const titles = new Map(Object.entries(BUILT_IN));
  for (const [kind, title] of kinds.flatMap(({ kind, title }) => (title ? [[kind, title] as const] : []))) {
    titles.set(kind, title);
  }
  return (kind) => titles.get(kind) ?? kind;
}

const heard = new Map<string, string>();

/** Remembers titles for what has no list of kinds at hand, such as a notice. In the browser only. */
export function learnKinds(kinds: readonly KindInfo[]): void {
  for (const { kind, title } of kinds) heard.set(kind, title ?? kind);
}
export const isHeard = (kind: string): boolean => heard.has(kind) || Object.hasOwn(BUILT_IN, kind);
export const heardTitle = (kind: string): string => heard.get(kind) ?? BUILT_IN[kind] ?? kind;
