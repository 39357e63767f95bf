import type { KeyMode } from "@tasktonic/client";
import type { Errors } from "./draft";
import { UNITS, type Unit } from "./span";

/** The key of a submission as it is typed. */
export type KeyOptions = { key: string; keyMode: KeyMode; keyWindow: string; keyWindowUnit: Unit; serial: string };
export const NO_KEY: KeyOptions = { key: "", keyMode: "ttl", keyWindow: "", keyWindowUnit: "m", serial: "" };

export type KeySettings = {
  idempotency_key?: string;
  key_mode?: KeyMode;
  key_window_ms?: number;
  serial_key?: string;
};

/** What a key can mean, in the order of the list, with what follows from it. */
export const KEY_MODES: Record<KeyMode, { label: string; says: string; window?: string }> = {
  ttl: {
    label: "one task",
    says: "The same key and input again find this task; other input is refused.",
    window: "For this long. Empty: a day",
  },
  until_done: {
    label: "one task until it has ended",
    says: "While this task has not ended, the same key and input find it; other input is refused.",
  },
  until_started: {
    label: "one task until it starts",
    says: "While this task waits, the same key and input find it; other input is refused.",
  },
  unique: {
    label: "one at a time, whatever the input",
    says: "While a task of this key has not ended, it does for every other, even with other input.",
  },
  throttle: {
    label: "at most one in a time",
    says: "One task is accepted in this time, and does for all others of the key.",
    window: "At most one in this time",
  },
  debounce: {
    label: "the last, after a pause",
    says: "It runs once nobody has submitted under this key for this long; those before it are cancelled.",
    window: "Once it was quiet for this long",
  },
  replace: {
    label: "the newest one waits",
    says: "A task of this key that still waits is cancelled for this one.",
  },
  latest: {
    label: "the newest one, after the one that runs",
    says: "One of this key runs at a time; of those that wait, only the newest is kept.",
  },
  restart: {
    label: "the newest one, instead of the one that runs",
    says: "The task of this key that runs is asked to stop; of those that wait, only the newest is kept.",
  },
};
const NEEDS_WINDOW: KeyMode[] = ["throttle", "debounce"];

/** The key and what it means. Without one there is nothing to say about it. */
export function keyOf(
  options: KeyOptions,
  errors: Errors,
  positive: (field: string, typed: string) => number | undefined,
): KeySettings {
  const key = options.key.trim();
  const mode = options.keyMode;
  const serial = options.serial.trim() === "" ? {} : { serial_key: options.serial.trim() };
  if (key === "") {
    if (mode !== "ttl") errors["/idempotency_key"] = "Say which key this is about.";
    return serial;
  }
  const settings: KeySettings = { idempotency_key: key, ...serial };
  if (mode !== "ttl") settings.key_mode = mode;
  if (KEY_MODES[mode].window === undefined) return settings;
  const typed = positive("/key_window_ms", options.keyWindow);
  if (typed !== undefined) settings.key_window_ms = Math.max(1, Math.round(typed * UNITS[options.keyWindowUnit].ms));
  else if (NEEDS_WINDOW.includes(mode)) errors["/key_window_ms"] ??= "Say how long.";
  return settings;
}
