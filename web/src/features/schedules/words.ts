import type { CatchUp, PassedReason, Schedule } from "@tasktonic/client";

export const CATCH_UP: Record<CatchUp, string> = {
  one: "Make up for the last one",
  skip: "Pass over them",
  all: "Make up for each, in order",
};

export const PASSED: Record<PassedReason, string> = {
  missed: "nobody was there at its time",
  line_full: "your line was full",
  refused: "its task was refused",
};

/** A moment as clocks of `zone` show it: `Mon 24 Nov, 09:00`. */
export function moment(at: string, zone: string | null | undefined): string {
  const options: Intl.DateTimeFormatOptions = {
    weekday: "short",
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  };
  // Seconds only where there are some: a schedule mostly comes on the minute.
  if (new Date(at).getUTCSeconds() !== 0) options.second = "2-digit";
  const zoned = (timeZone: string) => new Intl.DateTimeFormat("en-GB", { ...options, timeZone }).format(new Date(at));
  try {
    return zoned(zone ?? "UTC");
  } catch {
    // A zone that this browser has never heard of.
    return `${zoned("UTC")} UTC`;
  }
}

/** When it comes, with whose clocks: `at 09:00 on Monday to Friday, Europe/Berlin`. */
export const whenWords = ({ words, zone }: Pick<Schedule, "words" | "zone">): string =>
  zone ? `${words}, ${zone}` : words;
