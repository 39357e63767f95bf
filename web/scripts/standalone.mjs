// Next.js leaves the static files out of the standalone folder. They are copied in, so that the
// server serves them by itself; a front door may serve the same folder from disk instead.
import { access, cp, rm } from "node:fs/promises";
import path from "node:path";

const web = path.join(import.meta.dirname, "..");
const standalone = path.join(web, ".next", "standalone", "web");
await access(path.join(standalone, "server.js"));

const into = path.join(standalone, ".next", "static");
await rm(into, { recursive: true, force: true });
await cp(path.join(web, ".next", "static"), into, { recursive: true });
console.log("standalone server: web/.next/standalone/web/server.js");
