export const HOME = "/tasks";

/** `next` as a path of this site, or the home page: one leading slash, no second slash or backslash. */
export function safeNext(next: unknown): string {
  if (typeof next !== "string" || !/^\/(?![/\\])/.test(next) || next.length > 2048) return HOME;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused here
  if (/[\u0000-\u001f\\]/.test(next)) return HOME;
  return next.startsWith("/login") || next.startsWith("/api/") ? HOME : next;
}
