/* What the API takes as the name of a schedule. */

export const SCHEDULE_NAME = /^[A-Za-z0-9_.-]{1,64}$/;

/** A name to begin from: that of the kind, or of what it does. */
export const nameFor = (kind: string): string => kind.replace(/[^A-Za-z0-9_.-]+/g, "-").slice(0, 48);
