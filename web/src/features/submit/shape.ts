import type { Json } from "@tasktonic/client";

type Bag = { [key: string]: Json };

type Common = { title: string; hint: string | undefined; fallback: Json | undefined };
export type Choice = { value: string | number; label: string; hint: string | undefined };
export type Property = { name: string; required: boolean; shape: Shape };
export type Variant = { label: string; shape: Shape };

/** What a JSON Schema asks a person for: few enough forms that each can have a good field. */
export type Shape = Common &
  (
    | { is: "text"; format: "plain" | "long" | "uri" | "email" | "date-time" | "date"; max: number | undefined }
    | { is: "number"; whole: boolean; min: number | undefined; max: number | undefined }
    | { is: "switch" }
    | { is: "choice"; choices: Choice[] }
    | { is: "fixed"; value: Json }
    | { is: "file"; accept: string[] }
    | { is: "map"; max: number | undefined }
    | { is: "list"; item: Shape; min: number; max: number | undefined }
    | { is: "group"; properties: Property[] }
    | { is: "variants"; variants: Variant[] }
    | { is: "json" }
  );

const DEPTH_MAX = 8;
/** Fields one schema may ask for; a schema that refers to itself many times over ends here. */
const FIELDS_MAX = 500;
const LONG_TEXT = 200;

const bag = (value: Json | undefined): Bag | undefined =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? value : undefined;
const num = (value: Json | undefined): number | undefined => (typeof value === "number" ? value : undefined);
const text = (value: Json | undefined): string | undefined =>
  typeof value === "string" && value !== "" ? value : undefined;

const ACRONYMS = new Set(["json", "url", "uri", "id", "csv", "html", "http", "xml", "pdf"]);

/** `strip_metadata` and `stripMetadata` as `Strip metadata`, `json` as `JSON`. */
export function wordsOf(name: string): string {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll(/[_-]+/g, " ")
    .trim()
    .toLowerCase();
  const spelled = words.split(" ").map((word) => (ACRONYMS.has(word) ? word.toUpperCase() : word));
  const sentence = spelled.join(" ");
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

/** Reads a JSON Schema (2020-12). What has no field of its own is asked for as JSON. */
export function readSchema(schema: Json, name = ""): Shape {
  return read(schema, name, { document: bag(schema) ?? {}, left: FIELDS_MAX }, 0);
}

type Root = { document: Bag; left: number };

function read(schema: Json | undefined, name: string, root: Root, depth: number): Shape {
  root.left -= 1;
  const raw = bag(schema);
  const node = raw && resolve(raw, root.document);
  const common: Common = {
    title: text(node?.title) ?? wordsOf(name),
    hint: text(node?.description),
    fallback: node?.default,
  };
  if (!node || depth > DEPTH_MAX || root.left < 0) return { ...common, is: "json" };
  const one = withoutNull(node, root.document);
  if (one !== node) {
    const inner = read(one, name, root, depth + 1);
    return {
      ...inner,
      title: text(node.title) ?? inner.title,
      hint: common.hint ?? inner.hint,
      fallback: common.fallback ?? inner.fallback,
    };
  }
  if (node.const !== undefined) return { ...common, is: "fixed", value: node.const };
  const choices = choicesOf(node);
  if (choices) return { ...common, is: "choice", choices };
  const variants = list(node.oneOf) ?? list(node.anyOf);
  if (variants && !node.type && !node.properties) {
    return {
      ...common,
      is: "variants",
      variants: variants.map((variant, index) => {
        const shape = read(variant, "", root, depth + 1);
        return { label: shape.title || labelOf(shape) || `Form ${index + 1}`, shape };
      }),
    };
  }
  switch (typeOf(node)) {
    case "string":
      if (node.format === "file") return { ...common, is: "file", accept: acceptOf(node) };
      return { ...common, is: "text", format: formatOf(node), max: num(node.maxLength) };
    case "integer":
    case "number":
      return {
        ...common,
        is: "number",
        whole: typeOf(node) === "integer",
        min: num(node.minimum),
        max: num(node.maximum),
      };
    case "boolean":
      return { ...common, is: "switch" };
    case "array": {
      const item = read(node.items, "", root, depth + 1);
      // What is said of the files may stand beside the list as well.
      const accept = item.is === "file" && item.accept.length === 0 ? acceptOf(node) : undefined;
      return {
        ...common,
        is: "list",
        item: accept ? ({ ...item, accept } as Shape) : item,
        min: num(node.minItems) ?? 0,
        max: num(node.maxItems),
      };
    }
    case "object": {
      const properties = bag(node.properties);
      if (!properties || Object.keys(properties).length === 0) {
        // An object without named members is a map: of texts, or of what only JSON can say.
        if (!properties && bag(node.additionalProperties)?.type === "string") {
          return { ...common, is: "map", max: num(node.maxProperties) };
        }
        return { ...common, is: node.additionalProperties === false ? "group" : "json", properties: [] } as Shape;
      }
      const required = new Set(list(node.required) ?? []);
      return {
        ...common,
        is: "group",
        properties: inOrder(
          Object.entries(properties).map(([key, value]) => ({
            name: key,
            required: required.has(key),
            shape: read(value, key, root, depth + 1),
          })),
        ),
      };
    }
    default:
      return { ...common, is: "json" };
  }
}

/** What is needed first, then what is chosen with one press; members of a JSON object have no order of their own. */
function inOrder(properties: Property[]): Property[] {
  const rank = ({ required, shape }: Property) => (required ? 0 : shape.is === "choice" ? 1 : 2);
  return properties.toSorted((a, b) => rank(a) - rank(b));
}

/** Follows `$ref` within the document; what stands beside it (title, default) wins. */
function resolve(node: Bag, root: Bag): Bag {
  let at = node;
  for (let hops = 0; typeof at.$ref === "string" && hops < DEPTH_MAX; hops += 1) {
    const { $ref, ...beside } = at;
    const target = lookUp(root, String($ref));
    if (!target) return beside;
    at = { ...target, ...beside };
  }
  const parts = list(at.allOf);
  if (parts?.length === 1) {
    const only = bag(parts[0]);
    if (only) return { ...resolve(only, root), ...at, allOf: null };
  }
  return at;
}

function lookUp(root: Bag, ref: string): Bag | undefined {
  if (!ref.startsWith("#/")) return ref === "#" ? root : undefined;
  let at: Json | undefined = root;
  for (const part of ref.slice(2).split("/")) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    const here: Bag | undefined = bag(at);
    at = here && Object.hasOwn(here, key) ? here[key] : undefined;
  }
  return bag(at);
}

/** `X | null` is asked for as X; leaving it empty means null. */
function withoutNull(node: Bag, root: Bag): Bag {
  for (const key of ["anyOf", "oneOf"] as const) {
    const parts = list(node[key])?.map((part) => bag(part));
    if (parts?.length !== 2) continue;
    const rest = parts.filter((part) => part?.type !== "null" && part?.const !== null);
    if (rest.length === 1 && rest[0] && parts.length > rest.length) return resolve(rest[0], root);
  }
  const types = list(node.type);
  if (types?.includes("null") && types.length === 2) {
    const only = types.find((type) => type !== "null");
    return { ...node, type: only ?? "string" };
  }
  return node;
}

function choicesOf(node: Bag): Choice[] | undefined {
  const values = list(node.enum);
  if (values) {
    const plain = values.filter((value) => typeof value === "string" || typeof value === "number");
    return plain.length ? plain.map((value) => ({ value, label: shown(value), hint: undefined })) : undefined;
  }
  const parts = list(node.oneOf) ?? list(node.anyOf);
  if (!parts) return undefined;
  const choices: Choice[] = [];
  for (const part of parts) {
    const one = bag(part);
    const value = one?.const ?? (list(one?.enum)?.length === 1 ? list(one?.enum)?.[0] : undefined);
    if (typeof value !== "string" && typeof value !== "number") return undefined;
    choices.push({ value, label: text(one?.title) ?? shown(value), hint: text(one?.description) });
  }
  return choices;
}

/** White space would be an empty line in a menu. */
const shown = (value: string | number): string => {
  const names: Record<string, string> = {
    "\t": "Tab",
    " ": "Space",
    "": "(empty)",
    ",": "Comma  ,",
    ";": "Semicolon  ;",
    "|": "Pipe  |",
  };
  return names[String(value)] ?? String(value);
};

function typeOf(node: Bag): string | undefined {
  if (typeof node.type === "string") return node.type;
  if (node.properties) return "object";
  return undefined;
}

function formatOf(node: Bag): "plain" | "long" | "uri" | "email" | "date-time" | "date" {
  switch (node.format) {
    case "uri":
    case "url":
      return "uri";
    case "email":
    case "date-time":
    case "date":
      return node.format;
    default:
      return (num(node.maxLength) ?? 0) > LONG_TEXT || node.contentMediaType !== undefined ? "long" : "plain";
  }
}

/**
 * Which files a place takes, as a browser spells it: the member `accept` (`image/png`, `image/*`, `.csv`, one text
 * or a list), or JSON Schema's `contentMediaType`. Empty means any.
 */
function acceptOf(node: Bag): string[] {
  const named = node.accept ?? node.contentMediaType;
  const parts = typeof named === "string" ? named.split(",") : (list(named) ?? []);
  return parts.flatMap((part) => (typeof part === "string" && part.trim() ? [part.trim().toLowerCase()] : []));
}

const list = (value: Json | undefined): Json[] | undefined => (Array.isArray(value) ? value : undefined);

/** A variant without a title is named by its fixed member or its first one. */
function labelOf(shape: Shape): string {
  if (shape.is !== "group") return shape.is === "fixed" ? shown(String(shape.value)) : wordsOf(shape.is);
  const fixed = shape.properties.find((property) => property.shape.is === "fixed");
  if (fixed?.shape.is === "fixed") return wordsOf(String(fixed.shape.value));
  return wordsOf(shape.properties[0]?.name ?? "");
}
