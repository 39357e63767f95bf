/** A wrong address is told at start, not with the first page; so is another release than the one expected here. */
export async function register() {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  const { apiUrl } = await import("./lib/env");
  apiUrl();
  const { TASKTONIC_RELEASE: expected } = process.env;
  // Written into the code by the build.
  const built = process.env.NEXT_DEPLOYMENT_ID;
  if (expected && expected !== built) {
    throw new Error(`These pages are of release ${built}, not ${expected}: all servers of pages run the same build.`);
  }
}
