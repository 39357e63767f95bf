/* Moments as a field of the browser takes them: in the time of the person's own clock. */

export function toLocal(value: string): string {
  const at = Date.parse(value);
  if (!Number.isFinite(at)) return "";
  const local = new Date(at - new Date(at).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19);
}

export function fromLocal(value: string): string {
  const at = Date.parse(value);
  return Number.isFinite(at) ? new Date(at).toISOString() : "";
}
