// What the README says one may type is typed here: its shell blocks in their order, against a fresh
// installation that has the README's own configuration.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { ROOT } from "./lib/places.mjs";
import { killSurvivors, survivors } from "./lib/processes.mjs";
import { BIN, Product, scratch } from "./lib/product.mjs";
import { SECOND, until } from "./lib/wait.mjs";

const README = readFileSync(path.join(ROOT, "README.md"), "utf8");

/** The contents of the README's code blocks in one language. */
const blocks = (language) =>
  [...README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
    .filter((found) => found[1] === language)
    .map((found) => found[2]);

/** These two start what the test has started already, and the tests themselves. */
const isOurs = (line) => /^cargo xtask (up|test)( |$)/.test(line);

describe("readme", () => {
  const folder = scratch("readme-desk");
  let product;

  before(async () => {
    const config = path.join(folder, "tasktonic.toml");
    writeFileSync(config, blocks("toml").join("\n"));
    product = await Product.up("readme", { args: ["--no-ui", "--config", config] });
  });
  after(async () => {
    try {
      await product?.down();
      await until("every process of the installation has ended", () => survivors().length === 0, 10 * SECOND);
    } finally {
      killSurvivors();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it("every command of the README works, in its order, on a fresh installation", { timeout: 60 * SECOND }, async () => {
    const lines = blocks("sh").join("").split("\n").filter(Boolean);
    const typed = lines.filter((line) => !isOurs(line));
    assert.ok(lines.length > typed.length, "the README says how to start it");
    assert.ok(typed.filter((line) => line.startsWith("tasktonic submit")).length >= 3, typed.join("\n"));

    const bin = path.join(folder, "bin");
    mkdirSync(bin);
    symlinkSync(BIN, path.join(bin, "tasktonic"));
    const env = {
      PATH: `${bin}:${process.env.PATH}`,
      HOME: folder,
      TASKTONIC_URL: product.url,
      TASKTONIC_DATA: product.data,
    };
    // -v repeats each line on standard error as it is read: the last one is the one that failed.
    const script = path.join(folder, "typed.sh");
    writeFileSync(script, `${typed.join("\n")}\n`);
    const { error, stdout, stderr } = await bash(script, { cwd: folder, env });
    assert.equal(error?.code ?? 0, 0, `${stderr}\n${stdout}`);

    const { tasks } = await product.api("/api/v1/tasks");
    const submitted = typed.filter((line) => line.startsWith("tasktonic submit")).map((line) => line.split(" ")[2]);
    assert.deepEqual(
      tasks.map((task) => [task.kind, task.status]).reverse(),
      submitted.map((kind) => [kind, "completed"]),
    );
  });
});

function bash(script, options) {
  return new Promise((resolve) => {
    const child = execFile("bash", ["-euo", "pipefail", "-v", script], options, (error, stdout, stderr) =>
      resolve({ error, stdout, stderr }),
    );
    child.stdin.end();
  });
}
