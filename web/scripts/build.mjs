// Builds the pages. Several servers may show them at once, so what Next.js would make at random is
// settled here: the key that seals what Server Actions carry, and the name of the release.
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const KEY_BYTES = [16, 24, 32];
const web = path.join(import.meta.dirname, "..");
const root = path.join(web, "..");

/** The key of the environment, else the one of the last build here, else a new one. */
function key() {
  const named = process.env.NEXT_SERVER_ACTIONS_ENCRYPTION_KEY;
  if (named) return named;
  const file = process.env.TASKTONIC_PAGES_KEY_FILE || path.join(root, "target/pages/server-actions.key");
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  }
  const made = randomBytes(32).toString("base64");
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(file, `${made}\n`, { mode: 0o600 });
  return made;
}

/** The same sources have the same name, wherever they are built. */
function release() {
  const hash = createHash("sha256");
  const read = (at) => {
    for (const entry of readdirSync(at, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (["node_modules", ".next"].includes(entry.name)) continue;
      const file = path.join(at, entry.name);
      if (entry.isDirectory()) read(file);
      else hash.update(path.relative(root, file)).update(readFileSync(file));
    }
  };
  read(path.join(web, "src"));
  read(path.join(root, "sdk/typescript"));
  return hash
    .update(readFileSync(path.join(root, "package-lock.json")))
    .digest("hex")
    .slice(0, 16);
}

const secret = key();
if (!KEY_BYTES.includes(Buffer.from(secret, "base64").length)) {
  console.error("NEXT_SERVER_ACTIONS_ENCRYPTION_KEY is the base64 of 16, 24 or 32 bytes: `openssl rand -base64 32`");
  process.exit(1);
}
const built = spawnSync(process.execPath, [path.join(root, "node_modules/next/dist/bin/next"), "build"], {
  cwd: web,
  stdio: "inherit",
  env: {
    ...process.env,
    NEXT_SERVER_ACTIONS_ENCRYPTION_KEY: secret,
    NEXT_DEPLOYMENT_ID: process.env.NEXT_DEPLOYMENT_ID || release(),
  },
});
process.exit(built.status ?? 1);
