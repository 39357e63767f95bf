import type { Json } from "@tasktonic/client";

/** A file as an output names it. */
export type FileRef = { file: string; name: string; type: string; size: number | undefined };

const FILE_ID = /^[A-Za-z0-9_-]{22}$/;
const DEPTH_MAX = 12;

/** Every `{ file, name, … }` anywhere in an output, each file once, in the order of appearance. */
export function filesIn(value: Json | undefined): FileRef[] {
  const found = new Map<string, FileRef>();
  const look = (at: Json | undefined, depth: number) => {
    if (at === null || typeof at !== "object" || depth > DEPTH_MAX) return;
    if (Array.isArray(at)) {
      for (const item of at) look(item, depth + 1);
      return;
    }
    if (typeof at.file === "string" && FILE_ID.test(at.file) && typeof at.name === "string") {
      const { file, name, type, size } = at;
      if (!found.has(file)) {
        found.set(file, {
          file,
          name: String(name),
          type: typeof type === "string" ? type : "application/octet-stream",
          size: typeof size === "number" ? size : undefined,
        });
      }
    }
    for (const item of Object.values(at)) look(item, depth + 1);
  };
  look(value, 0);
  return [...found.values()];
}

/** The ids of files that a payload names, by the places its schema marks with `format: file`. */
export function inputFiles(payload: Json | undefined, schema: Json | undefined): string[] {
  const ids = new Set<string>();
  const look = (value: Json | undefined, shape: Json | undefined, depth: number) => {
    if (value == null || shape == null || typeof shape !== "object" || Array.isArray(shape) || depth > DEPTH_MAX)
      return;
    if (typeof value === "string") {
      if (shape.format === "file" && FILE_ID.test(value)) ids.add(value);
    } else if (Array.isArray(value)) {
      for (const item of value) look(item, shape.items, depth + 1);
    } else if (typeof value === "object" && shape.properties && typeof shape.properties === "object") {
      const properties = shape.properties as Record<string, Json>;
      for (const [key, item] of Object.entries(value)) {
        if (Object.hasOwn(properties, key)) look(item, properties[key], depth + 1);
      }
    }
    for (const part of [shape.anyOf, shape.oneOf, shape.allOf]) {
      if (Array.isArray(part)) for (const one of part) look(value, one, depth + 1);
    }
  };
  look(payload, schema, 0);
  return [...ids];
}
