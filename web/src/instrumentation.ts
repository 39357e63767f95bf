/** A wrong address is told at start, not with the first page. */
export async function register() {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const { apiUrl } = await import("./lib/env");
  apiUrl();
}
