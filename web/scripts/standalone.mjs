// Next.js leaves the static files out of the standalone folder. They are copied in, so that the
// server serves them by itself; a front door may serve the same folder from disk instead.
import { access, chmod, cp, readFile, rm } from "node:fs/promises";
import path from "node:path";

const web = path.join(import.meta.dirname, "..");
const standalone = path.join(web, ".next", "standalone", "web");
await access(path.join(standalone, "server.js"));

const into = path.join(standalone, ".next", "static");
await rm(into, { recursive: true, force: true });
await cp(path.join(web, ".next", "static"), into, { recursive: true });

// A build without these two works as one process and fails as several: better here than there.
const json = async (name) => JSON.parse(await readFile(path.join(standalone, ".next", name), "utf8"));
const sealed = path.join(standalone, ".next/server/server-reference-manifest.json");
if (!(await json("server/server-reference-manifest.json")).encryptionKey) {
  throw new Error("the build has no key for Server Actions: use `npm run build`");
}
if (!(await json("required-server-files.json")).config.deploymentId) {
  throw new Error("the build has no deployment id: use `npm run build`");
}
// They hold the key.
await chmod(sealed, 0o600);
await chmod(sealed.replace(/\.json$/, ".js"), 0o600);
console.log("standalone server: web/.next/standalone/web/server.js");
