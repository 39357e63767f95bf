import type { Json } from "@tasktonic/client";
import type { Shape } from "./shape";

/**
 * A payload while somebody types it: numbers and JSON are still text, what is not filled in is
 * `undefined`. Variants remember which one was chosen.
 */
export type Draft = undefined | string | boolean | Draft[] | { [key: string]: Draft } | Chosen;
export class Chosen {
  readonly index: number;
  readonly value: Draft;
  constructor(index: number, value: Draft) {
    this.index = index;
    this.value = value;
  }
}

export type Errors = Record<string, string>;

const asMap = (draft: Draft): { [key: string]: Draft } =>
  typeof draft === "object" && !Array.isArray(draft) && !(draft instanceof Chosen) ? draft : {};

/** The draft of a payload that is there already, or of the schema's defaults. */
export function draftOf(shape: Shape, value: Json | undefined = shape.fallback, required = true): Draft {
  switch (shape.is) {
    case "text":
    case "file":
      return typeof value === "string" ? value : undefined;
    case "number":
      return typeof value === "number" ? String(value) : undefined;
    case "choice":
      return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
    case "switch":
      return typeof value === "boolean" ? value : undefined;
    case "fixed":
      return undefined;
    case "list":
      if (Array.isArray(value)) return value.map((item) => draftOf(shape.item, item));
      return shape.item.is === "file" ? [] : Array.from({ length: Math.min(shape.min, 20) }, () => draftOf(shape.item));
    case "group": {
      const map = value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
      return Object.fromEntries(
        shape.properties.map(({ name, required, shape: inner }) => [
          name,
          draftOf(inner, Object.hasOwn(map, name) ? map[name] : undefined, required),
        ]),
      );
    }
    case "map": {
      const map = value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
      return Object.entries(map).map(([name, text]) => ({
        name,
        text: typeof text === "string" ? text : String(text),
      }));
    }
    case "variants": {
      // What may be left out starts left out.
      if (!required && value == null) return undefined;
      const fitting = value === undefined ? 0 : shape.variants.findIndex((variant) => fits(variant.shape, value));
      const index = Math.max(0, fitting);
      const variant = shape.variants[index];
      return new Chosen(index, variant ? draftOf(variant.shape, value) : undefined);
    }
    case "json":
      return value === undefined ? undefined : JSON.stringify(value, null, 2);
  }
}

function fits(shape: Shape, value: Json): boolean {
  if (shape.is === "fixed") return JSON.stringify(shape.value) === JSON.stringify(value);
  if (shape.is !== "group") return typeof value !== "object";
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  return shape.properties.every(({ name, required, shape: inner }) => {
    if (!Object.hasOwn(value, name)) return !required;
    return inner.is !== "fixed" || fits(inner, value[name] ?? null);
  });
}

/** The payload behind a draft, and what keeps it from being one, by JSON Pointer. */
export function payloadOf(shape: Shape, draft: Draft): { payload: Json; errors: Errors } {
  const errors: Errors = {};
  const payload = build(shape, draft, "", true, errors) ?? {};
  return { payload, errors };
}

function build(shape: Shape, draft: Draft, at: string, required: boolean, errors: Errors): Json | undefined {
  const missing = () => {
    if (required) errors[at] = "This is needed.";
    return undefined;
  };
  switch (shape.is) {
    case "fixed":
      return shape.value;
    case "switch":
      return typeof draft === "boolean" ? draft : required ? false : undefined;
    case "text":
    case "file":
      return typeof draft === "string" && draft !== "" ? draft : missing();
    case "choice": {
      const choice = shape.choices.find(({ value }) => String(value) === draft);
      return choice ? choice.value : missing();
    }
    case "number": {
      const typed = typeof draft === "string" ? draft.trim() : "";
      if (typed === "") return missing();
      const value = Number(typed);
      if (!Number.isFinite(value)) errors[at] = "This is no number.";
      else if (shape.whole && !Number.isInteger(value)) errors[at] = "This must be a whole number.";
      return value;
    }
    case "json": {
      if (typeof draft !== "string" || draft.trim() === "") return missing();
      try {
        return JSON.parse(draft) as Json;
      } catch {
        errors[at] = "This is not valid JSON.";
        return undefined;
      }
    }
    case "list": {
      const items = Array.isArray(draft) ? draft : [];
      if (items.length === 0) return required ? (shape.min > 0 ? missing() : []) : undefined;
      return items.map((item, index) => build(shape.item, item, `${at}/${index}`, true, errors) ?? null);
    }
    case "map": {
      const rows = (Array.isArray(draft) ? draft : []).map(asMap);
      const out: [string, string][] = [];
      for (const [index, { name, text }] of rows.entries()) {
        const named = typeof name === "string" ? name.trim() : "";
        const said = typeof text === "string" ? text : "";
        if (named === "" && said === "") continue;
        if (named === "") errors[at] = `Line ${index + 1} needs a name.`;
        else if (out.some(([other]) => other === named))
          errors[at] = `Line ${index + 1} has a name that is there already.`;
        else out.push([named, said]);
      }
      return out.length > 0 || required ? Object.fromEntries(out) : undefined;
    }
    case "variants": {
      if (!required && !(draft instanceof Chosen)) return undefined;
      const chosen = draft instanceof Chosen ? draft : new Chosen(0, undefined);
      const variant = shape.variants[chosen.index];
      // Once one is chosen, it is to be filled in.
      return variant ? build(variant.shape, chosen.value, at, true, errors) : missing();
    }
    case "group": {
      const map = asMap(draft);
      // A group that nobody needs and nobody touched is left out with all that is needed inside it.
      if (!required && !shape.properties.some((property) => isFilled(map[property.name]))) return undefined;
      const out: { [key: string]: Json } = {};
      for (const { name, required: needed, shape: inner } of shape.properties) {
        const value = build(inner, map[name], `${at}/${escapePart(name)}`, needed, errors);
        if (value !== undefined) out[name] = value;
      }
      return out;
    }
  }
}

export function isFilled(draft: Draft): boolean {
  if (draft === undefined || draft === "" || draft === false) return false;
  if (Array.isArray(draft)) return draft.some(isFilled);
  if (draft instanceof Chosen) return isFilled(draft.value);
  if (typeof draft === "object") return Object.values(draft).some(isFilled);
  return true;
}

/** A member name as a part of a JSON Pointer (RFC 6901). */
export const escapePart = (name: string): string => name.replaceAll("~", "~0").replaceAll("/", "~1");

/** Splits what the server said into what has a field and what has not. */
export function placeErrors(shape: Shape, errors: Errors): { placed: Errors; unplaced: string[] } {
  const placed: Errors = {};
  const unplaced: string[] = [];
  for (const [pointer, detail] of Object.entries(errors)) {
    const place = nearest(shape, pointer);
    if (place === "") unplaced.push(detail);
    else placed[place] = placed[place] ? `${placed[place]} ${detail}` : detail;
  }
  return { placed, unplaced };
}

/** The deepest field on the way to `pointer`; a list of files is one field. */
function nearest(shape: Shape, pointer: string): string {
  let at = "";
  let here: Shape | undefined = shape;
  for (const part of pointer.split("/").slice(1)) {
    if (here?.is === "group") {
      const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
      const found: Shape | undefined = here.properties.find((property) => property.name === name)?.shape;
      if (!found) return at;
      here = found;
    } else if (here?.is === "list" && here.item.is !== "file" && /^\d+$/.test(part)) {
      here = here.item;
    } else {
      return at;
    }
    at += `/${part}`;
  }
  return at;
}
