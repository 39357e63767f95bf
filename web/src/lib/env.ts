const API_URL_DEFAULT = "http://127.0.0.1:8080";

/** Where the Rust server listens for this one: the only setting of the pages. */
export function apiUrl(): string {
  const value = process.env.TASKTONIC_API_URL || API_URL_DEFAULT;
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    throw new Error("TASKTONIC_API_URL is no URL. Give it as http://host:port, without a path.");
  }
  if (!/^https?:$/.test(url.protocol)) {
    throw new Error("TASKTONIC_API_URL must begin with http:// or https://.");
  }
  return url.origin;
}
