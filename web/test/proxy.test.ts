import { NextRequest } from "next/server";
import { afterEach, describe, expect, it, vi } from "vitest";

const TOKEN = "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl";

async function linesOf(setting: string | undefined, request: NextRequest): Promise<string[]> {
  vi.stubEnv("TASKTONIC_PAGES_LOG", setting);
  vi.resetModules();
  const lines: string[] = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => lines.push(String(text)) > 0);
  const { proxy } = await import("@/proxy");
  const response = proxy(request);
  vi.restoreAllMocks();
  expect(response.headers.get("content-security-policy")).toMatch(/'nonce-[A-Za-z0-9+/=]{24}'/);
  return lines;
}

const request = () =>
  new NextRequest(`http://localhost/tasks/${TOKEN}?q=secret`, {
    method: "POST",
    headers: { cookie: `tt_at=${TOKEN}`, "x-request-id": "r1", "next-action": "00ab" },
  });

describe("the line a request leaves in the log", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("says who asked for what, and nothing that could be a secret", async () => {
    const [line, ...more] = await linesOf("requests", request());
    expect(more).toEqual([]);
    expect(JSON.parse(line ?? "")).toEqual({
      event: "page.request",
      request_id: "r1",
      method: "POST",
      path: "/tasks/…",
      action: true,
    });
  });

  it("is written only where somebody asked for it", async () => {
    expect(await linesOf(undefined, request())).toEqual([]);
  });
});
