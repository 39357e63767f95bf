import { type NextRequest, NextResponse } from "next/server";

/** With `TASKTONIC_PAGES_LOG=requests` each request leaves a line. */
const LOGS_REQUESTS = process.env.TASKTONIC_PAGES_LOG === "requests";
/** Longest part of a path that is logged as it is: ids and routes are shorter, tokens are longer. */
const SEGMENT_CHARS_MAX = 40;

/**
 * A fresh nonce for the page's scripts, a line for the log, and nothing else. This is no place to decide
 * who may see what: each page and each action asks the API.
 */
export function proxy(request: NextRequest) {
  if (LOGS_REQUESTS) process.stdout.write(`${logLine(request)}\n`);
  const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64");
  const policy = contentSecurityPolicy(nonce, process.env.NODE_ENV === "development");

  const headers = new Headers(request.headers);
  headers.set("x-nonce", nonce);
  headers.set("content-security-policy", policy);
  const response = NextResponse.next({ request: { headers } });
  response.headers.set("content-security-policy", policy);
  return response;
}

/** Never the query, a cookie or a body. */
function logLine({ method, headers, nextUrl }: NextRequest): string {
  const path = nextUrl.pathname
    .split("/")
    .map((part) => (part.length > SEGMENT_CHARS_MAX ? "…" : part))
    .join("/");
  return JSON.stringify({
    event: "page.request",
    request_id: headers.get("x-request-id"),
    method,
    path,
    action: headers.has("next-action"),
  });
}

function contentSecurityPolicy(nonce: string, development: boolean): string {
  return [
    "default-src 'self'",
    // React's development build rebuilds stack traces by eval; the one we ship does not.
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'${development ? " 'unsafe-eval'" : ""}`,
    // Dialogs lock scrolling and toasts bring their look by style elements of their own.
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' blob: data:",
    "font-src 'self'",
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");
}

export const config = {
  matcher: [{ source: "/((?!_next/static|_next/image|favicon.ico|healthz).*)" }],
};
