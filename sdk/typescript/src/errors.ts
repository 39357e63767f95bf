import type { FieldError, Problem } from "./types.ts";

/** What the API refused, or what kept us from asking. `code` is stable; `message` says what to do next. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly errors: FieldError[];
  /** The request id, for whoever reads the server's log. */
  readonly instance: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(problem: Partial<Problem> & { status: number; code: string }, retryAfterMs?: number) {
    super(problem.detail ?? problem.title ?? problem.code);
    this.status = problem.status;
    this.code = problem.code;
    this.title = problem.title ?? problem.code;
    this.errors = Array.isArray(problem.errors) ? problem.errors : [];
    this.instance = problem.instance;
    this.retryAfterMs = retryAfterMs;
  }

  /** The server could not be asked at all: no connection, or an answer that is not ours. */
  get unreachable(): boolean {
    return this.status === 0;
  }
}

export const unreachable = (detail: string): ApiError =>
  new ApiError({ status: 0, code: "unreachable", title: "No answer", detail });

export async function problemOf(response: Response): Promise<ApiError> {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : undefined;
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  const body: unknown = isJson ? await response.json().catch(() => undefined) : undefined;
  if (typeof body === "object" && body !== null && "code" in body && typeof body.code === "string") {
    return new ApiError({ ...(body as Problem), status: response.status }, retryAfterMs);
  }
  const instance = response.headers.get("x-request-id") ?? undefined;
  return new ApiError(
    {
      status: response.status,
      code: response.status === 404 ? "not_found" : "internal",
      title: response.statusText || "Unexpected answer",
      detail: `The server answered ${response.status} without saying why.`,
      ...(instance ? { instance } : {}),
    },
    retryAfterMs,
  );
}
