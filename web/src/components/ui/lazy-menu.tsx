"use client";

import { type ComponentProps, type ComponentType, cloneElement, type ReactElement, useState } from "react";

export type MenuButton = ReactElement<ComponentProps<"button">>;
type Loaded<P> = ComponentType<P & { trigger: MenuButton }>;

/**
 * A menu whose code comes when somebody reaches for it: most pages are left without one having been opened.
 * `load` must be the same function with every render; what it gives opens at once.
 */
export function LazyMenu<P extends object>({
  load,
  trigger,
  props,
}: {
  load: () => Promise<Loaded<P>>;
  trigger: MenuButton;
  props: P;
}) {
  const [Opened, setOpened] = useState<Loaded<P>>();
  if (Opened) return <Opened trigger={trigger} {...props} />;
  // What cannot be loaded now is asked for again with the next press.
  const ignore = () => undefined;
  return cloneElement(trigger, {
    "aria-haspopup": "menu",
    "aria-expanded": false,
    onPointerEnter: () => void load().catch(ignore),
    onClick: () => void load().then((component) => setOpened(() => component), ignore),
  });
}
