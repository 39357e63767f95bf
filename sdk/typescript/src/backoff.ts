export const RECONNECT_MS_MIN = 500;
export const RECONNECT_MS_MAX = 30_000;

/**
 * How long to wait before attempt `failures + 1`: full jitter under a doubling ceiling
 * (Brooker, "Exponential Backoff and Jitter", 2015), so a crowd does not come back as one.
 */
export function reconnectMs(failures: number, random: () => number): number {
  const ceiling = Math.min(RECONNECT_MS_MAX, RECONNECT_MS_MIN * 2 ** Math.min(failures, 16));
  return Math.round(random() * ceiling);
}
