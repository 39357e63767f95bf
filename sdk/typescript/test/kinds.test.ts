import { expect, it, vi } from "vitest";
import { ApiClient } from "../src/index.ts";
import { type ImagesResize, submit } from "./generated/kinds.ts";

/** Compiled by `npm run types`: each line that should not compile fails there if it does. */
export function whatDoesNotCompile(api: ApiClient) {
  // @ts-expect-error a number where a list belongs
  void submit(api, "images.resize", { files: 5, maxWidth: 800 });
  // @ts-expect-error a member that the kind needs
  void submit(api, "images.resize", { files: ["a"] });
  // @ts-expect-error a misspelt member
  void submit(api, "images.resize", { files: ["a"], maxWidth: 800, croop: { x: 1, y: 2 } });
  // @ts-expect-error a value that is not one of the enumeration
  void submit(api, "images.resize", { files: ["a"], maxWidth: 800, format: "gif" });
  // @ts-expect-error another kind's payload
  void submit(api, "tree.walk", { files: ["a"], maxWidth: 800 });
  // @ts-expect-error a kind that nobody announced
  void submit(api, "images.resise", { files: ["a"], maxWidth: 800 });
}

it("submits a typed payload as it is", async () => {
  const sent = vi.fn(async (_: unknown, init?: RequestInit) => new Response(String(init?.body), { status: 202 }));
  const api = new ApiClient({ fetch: sent as unknown as typeof fetch });
  const payload: ImagesResize = { files: ["a"], maxWidth: 800, format: "web-p", crop: { x: 1, y: -2 } };
  expect(await submit(api, "images.resize", payload, { tags: ["holiday"] })).toEqual({
    kind: "images.resize",
    payload,
    tags: ["holiday"],
  });
  const root = { name: "root", next: { name: "leaf" }, children: [{ name: "leaf" }] };
  expect(await submit(api, "tree.walk", { root, type: "deep", level: 2 })).toMatchObject({ payload: { root } });
});
