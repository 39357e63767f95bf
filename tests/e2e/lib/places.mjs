// Where things are in this repository.
import path from "node:path";

export const ROOT = path.resolve(import.meta.dirname, "../../..");
/** Logs and pictures of what failed. */
export const REPORT = path.join(ROOT, "target", "e2e");
