// Where things are in this repository.
import path from "node:path";
import { MODE } from "./mode.mjs";

export const ROOT = path.resolve(import.meta.dirname, "../../..");
/** Logs and pictures of what failed. */
export const REPORT = path.join(ROOT, "target", MODE === "one" ? "e2e" : `e2e-${MODE}`);
