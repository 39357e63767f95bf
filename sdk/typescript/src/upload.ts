import { ApiError, unreachable } from "./errors.ts";
import type { Problem, StoredFile } from "./types.ts";

/**
 * Sends one file to the API and tells how many bytes have left. By XMLHttpRequest, because `fetch` tells
 * nothing of an upload under way.
 */
export function uploadFile(
  file: File,
  options: { onSent?: (sent: number, total: number) => void; signal?: AbortSignal; url?: string } = {},
): Promise<StoredFile> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${options.url ?? "/api/v1/files"}?name=${encodeURIComponent(file.name)}`);
    request.responseType = "json";
    request.setRequestHeader("content-type", file.type || "application/octet-stream");
    request.setRequestHeader("accept", "application/json");
    request.upload.onprogress = (event) => options.onSent?.(event.loaded, file.size);
    request.onload = () => {
      const body: unknown = request.response;
      if (request.status === 201 || request.status === 200) {
        options.onSent?.(file.size, file.size);
        resolve(body as StoredFile);
      } else if (typeof body === "object" && body !== null && "code" in body) {
        reject(new ApiError({ ...(body as Problem), status: request.status }));
      } else {
        reject(
          new ApiError({
            status: request.status,
            code: request.status === 413 ? "payload_too_large" : "internal",
            detail: request.status === 413 ? "This file is too large." : "The file was not taken. Try again.",
          }),
        );
      }
    };
    request.onerror = () => reject(unreachable("The connection broke while sending. Try again."));
    request.onabort = () => reject(new ApiError({ status: 0, code: "aborted", detail: "Stopped." }));
    options.signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}
