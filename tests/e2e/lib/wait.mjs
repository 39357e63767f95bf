// Waiting for conditions. What lives here: deadlines. Nothing here sleeps and hopes.
import { setTimeout as pause } from "node:timers/promises";

export const SECOND = 1_000;
/** How often a condition is looked at, ms. */
const LOOK_EVERY = 50;

/**
 * Looks until `look` returns something truthy and returns that. Says what it waited for, and what it
 * saw last, when the time is over.
 */
export async function until(what, look, withinMs = 15 * SECOND) {
  const deadline = performance.now() + withinMs;
  let last;
  for (;;) {
    try {
      last = await look();
      if (last) return last;
    } catch (error) {
      if (error?.final) throw error;
      last = error;
    }
    if (performance.now() > deadline) {
      const seen = last instanceof Error ? last.message : JSON.stringify(last);
      throw new Error(`waited ${withinMs / SECOND} s until ${what}; last seen: ${seen}`);
    }
    await pause(LOOK_EVERY);
  }
}

/** An error that no further look can mend. */
export function final(message) {
  return Object.assign(new Error(message), { final: true });
}
