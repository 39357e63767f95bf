/** What every Server Action gives back. `message` is one public sentence. */
export type Result<T> =
  | { ok: true; value: T }
  | { ok: false; code: string; message: string; fields?: Record<string, string> };

export const done = <T>(value: T): Result<T> => ({ ok: true, value });
export const refused = (code: string, message: string, fields?: Record<string, string>): Result<never> => ({
  ok: false,
  code,
  message,
  ...(fields && Object.keys(fields).length ? { fields } : {}),
});
