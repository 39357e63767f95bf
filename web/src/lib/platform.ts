"use client";

import { useSyncExternalStore } from "react";

/** The key that goes with a letter here: ⌘ on Apple's machines, Ctrl elsewhere. */
export const useCommandKey = (): string =>
  useSyncExternalStore(
    () => () => {},
    () => (/Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl"),
    () => "Ctrl",
  );
