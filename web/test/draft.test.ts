import type { Json } from "@tasktonic/client";
import { describe, expect, it } from "vitest";
import { Chosen, draftOf, payloadOf, placeErrors } from "@/features/submit/draft";
import { readSchema, wordsOf } from "@/features/submit/shape";

const resize: Json = {
  type: "object",
  required: ["photos"],
  properties: {
    photos: { type: "array", minItems: 1, items: { type: "string", format: "file" } },
    width: { type: "integer", minimum: 1, default: 1280 },
    height: { anyOf: [{ $ref: "#/$defs/Pixels" }, { type: "null" }], title: "Height" },
    format: { enum: ["jpeg", "png"], default: "jpeg" },
    strip_metadata: { type: "boolean", default: true },
    crop: { type: "object", required: ["x"], properties: { x: { type: "integer" }, y: { type: ["integer", "null"] } } },
  },
  $defs: { Pixels: { type: "integer", maximum: 8192 } },
};

describe("a schema", () => {
  it("becomes fields: what is needed first, then what is chosen with one press", () => {
    const shape = readSchema(resize);
    if (shape.is !== "group") throw new Error("no group");
    expect(shape.properties.map(({ name, required, shape: inner }) => [name, inner.is, required])).toEqual([
      ["photos", "list", true],
      ["format", "choice", false],
      ["width", "number", false],
      ["height", "number", false],
      ["strip_metadata", "switch", false],
      ["crop", "group", false],
    ]);
    const height = shape.properties[3]?.shape;
    expect(height).toMatchObject({ is: "number", whole: true, max: 8192, title: "Height" });
    expect(shape.properties[4]?.shape.title).toBe("Strip metadata");
  });

  it.each([
    [{ oneOf: [{ const: "GET", description: "read" }, { const: "POST" }] }, "choice"],
    [{ type: "string", contentMediaType: "text/plain" }, "text"],
    [{ type: "object", additionalProperties: { type: "string" } }, "map"],
    [{ type: "object", additionalProperties: { type: "object" } }, "json"],
    [true, "json"],
    [{}, "json"],
    [{ $ref: "#/$defs/missing" }, "json"],
    [{ allOf: [{ type: "boolean" }] }, "switch"],
    [{ const: 3 }, "fixed"],
    [{ oneOf: [{ type: "object", properties: { a: { type: "string" } } }, { type: "string" }] }, "variants"],
  ] as [Json, string][])("%j is asked for as %s", (schema, is) => {
    expect(readSchema(schema).is).toBe(is);
  });

  it("that refers to itself ends", () => {
    const tree: Json = { type: "object", properties: { child: { $ref: "#" } } };
    expect(() => draftOf(readSchema(tree))).not.toThrow();
    expect(readSchema({ $ref: "#" }).is).toBe("json");
    const members = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`m${n}`, { $ref: "#" }]));
    const started = performance.now();
    readSchema({ type: "object", properties: members });
    expect(performance.now() - started).toBeLessThan(500);
  });

  it("says which files a place takes, of one file and of a list", () => {
    const file = { type: "string", format: "file" };
    expect(readSchema({ ...file, contentMediaType: "text/csv" })).toMatchObject({ accept: ["text/csv"] });
    expect(readSchema(file)).toMatchObject({ accept: [] });
    expect(readSchema({ type: "array", items: file, accept: "image/png, .WEBP" })).toMatchObject({
      item: { accept: ["image/png", ".webp"] },
    });
  });

  it("names a member in words", () => {
    expect([wordsOf("stripMetadata"), wordsOf("attempts_max"), wordsOf("url")]).toEqual([
      "Strip metadata",
      "Attempts max",
      "URL",
    ]);
  });
});

describe("a draft", () => {
  const shape = readSchema(resize);

  it("starts with the defaults and says what is missing", () => {
    const { payload, errors } = payloadOf(shape, draftOf(shape));
    expect(payload).toEqual({ width: 1280, format: "jpeg", strip_metadata: true });
    expect(errors).toEqual({ "/photos": "This is needed." });
  });

  it("gives back the payload it was filled in from", () => {
    const payload = {
      photos: ["f1", "f2"],
      width: 5,
      height: 7,
      format: "png",
      strip_metadata: false,
      crop: { x: 1, y: 2 },
    };
    expect(payloadOf(shape, draftOf(shape, payload))).toEqual({ payload, errors: {} });
  });

  it("leaves out an optional group nobody touched, and asks for its needs once somebody did", () => {
    const draft = draftOf(shape, { photos: ["f"], crop: { y: 2 } });
    expect(payloadOf(shape, draft).errors).toEqual({ "/crop/x": "This is needed." });
  });

  it("says what is no number and what is no JSON", () => {
    const loose = readSchema({ type: "object", properties: { n: { type: "integer" }, any: {} } });
    expect(payloadOf(loose, { n: "1.5", any: "{" }).errors).toEqual({
      "/n": "This must be a whole number.",
      "/any": "This is not valid JSON.",
    });
    expect(payloadOf(loose, { n: "", any: '{"a":1}' })).toEqual({ payload: { any: { a: 1 } }, errors: {} });
  });

  it("keeps the variant that fits a payload", () => {
    const when = readSchema({
      oneOf: [
        { type: "object", required: ["kind", "at"], properties: { kind: { const: "at" }, at: { type: "string" } } },
        { type: "object", required: ["kind"], properties: { kind: { const: "now" } } },
      ],
    });
    const draft = draftOf(when, { kind: "now" });
    expect(draft).toBeInstanceOf(Chosen);
    expect(payloadOf(when, draft)).toEqual({ payload: { kind: "now" }, errors: {} });
  });

  it("leaves out a choice of forms that may be left out, until one is chosen", () => {
    const request = readSchema({
      type: "object",
      properties: {
        body: {
          default: null,
          anyOf: [
            {
              oneOf: [
                { type: "object", title: "JSON", required: ["json"], properties: { json: {} } },
                { type: "object", title: "Text", required: ["text"], properties: { text: { type: "string" } } },
              ],
            },
            { type: "null" },
          ],
        },
      },
    });
    expect(payloadOf(request, draftOf(request))).toEqual({ payload: {}, errors: {} });
    expect(payloadOf(request, { body: new Chosen(1, { text: "" }) }).errors).toEqual({
      "/body/text": "This is needed.",
    });
    const sent = { body: { text: "x" } };
    expect(payloadOf(request, draftOf(request, sent))).toEqual({ payload: sent, errors: {} });
  });

  it("keeps names and texts in pairs, and says which line is not one", () => {
    const headers = readSchema({
      type: "object",
      properties: { headers: { type: "object", additionalProperties: { type: "string" } } },
    });
    const sent = { headers: { accept: "text/plain", "x-a": "" } };
    expect(payloadOf(headers, draftOf(headers, sent))).toEqual({ payload: sent, errors: {} });
    const row = (name: string, text: string) => ({ name, text });
    expect(payloadOf(headers, { headers: [row("", ""), row(" a ", "1")] })).toEqual({
      payload: { headers: { a: "1" } },
      errors: {},
    });
    expect(payloadOf(headers, { headers: [row("", "1")] }).errors).toEqual({ "/headers": "Line 1 needs a name." });
    expect(payloadOf(headers, { headers: [row("a", "1"), row("a", "2")] }).errors).toEqual({
      "/headers": "Line 2 has a name that is there already.",
    });
    expect(payloadOf(headers, draftOf(headers))).toEqual({ payload: {}, errors: {} });
  });

  it("escapes member names in pointers", () => {
    const odd = readSchema({ type: "object", required: ["a/b~c"], properties: { "a/b~c": { type: "string" } } });
    expect(payloadOf(odd, draftOf(odd)).errors).toEqual({ "/a~1b~0c": "This is needed." });
  });
});

describe("errors of the server", () => {
  it("go to the deepest field on their way, the others are told above the form", () => {
    const { placed, unplaced } = placeErrors(readSchema(resize), {
      "/photos/3": "There is no such file.",
      "/crop/x": "too far",
      "/width": "too wide",
      "": "something about all of it",
      "/unknown": "not allowed",
    });
    expect(placed).toEqual({ "/photos": "There is no such file.", "/crop/x": "too far", "/width": "too wide" });
    expect(unplaced).toEqual(["something about all of it", "not allowed"]);
  });
});
