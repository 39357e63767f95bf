// What docs/guides/configuration.md shows and says, done: its configuration, its issuer, its backup.
import assert from "node:assert/strict";
import { generateKeyPairSync, sign } from "node:crypto";
import { chmodSync, cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { ROOT } from "./lib/places.mjs";
import { killSurvivors, survivors } from "./lib/processes.mjs";
import { Product, run, scratch } from "./lib/product.mjs";
import { SECOND, until } from "./lib/wait.mjs";

const GUIDE = readFileSync(path.join(ROOT, "docs/guides/configuration.md"), "utf8");
const CONFIGURATION = /^```toml\n([\s\S]*?)^```$/m.exec(GUIDE)[1];
/** What the guide's own example names. */
const ISSUER = "https://id.example.com";
const PEOPLE = "tasks.example.com";

/** A key of an issuer: its public half as that issuer publishes it, and tokens signed with it. */
function issuerKey(kid) {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return {
    jwks: JSON.stringify({ keys: [{ ...publicKey.export({ format: "jwk" }), kid, use: "sig" }] }),
    token(claims) {
      const now = Math.floor(Date.now() / SECOND);
      const payload = { iss: ISSUER, aud: "tasks", iat: now, exp: now + 600, ...claims };
      const signed = `${part({ alg: "RS256", kid, typ: "JWT" })}.${part(payload)}`;
      return `${signed}.${sign("sha256", Buffer.from(signed), privateKey).toString("base64url")}`;
    },
  };
}

describe("guides", () => {
  const desk = scratch("guides-desk");
  const keys = path.join(desk, "issuer.jwks.json");
  const first = issuerKey("first");
  let product;

  before(async () => {
    writeFileSync(path.join(desk, "tasktonic.toml"), CONFIGURATION);
    writeFileSync(keys, first.jwks);
    mkdirSync(path.join(desk, "bin"));
    const program = path.join(desk, "bin/render");
    writeFileSync(program, '#!/bin/sh\necho "{\\"output\\":{\\"fence\\":$TASKTONIC_FENCE,\\"given\\":\\"$*\\"}}"\n');
    chmodSync(program, 0o755);
    product = await Product.up("guides", { args: ["--no-ui", "--config", path.join(desk, "tasktonic.toml")] });
    // It prints where people open it; here it is reached beside that.
    product.url = `http://127.0.0.1:${product.port}`;
  });
  after(async () => {
    try {
      await product?.down();
      await until("every process of the installation has ended", () => survivors().length === 0, 10 * SECOND);
    } finally {
      killSurvivors();
      rmSync(desk, { recursive: true, force: true });
    }
  });

  const me = (token) => product.api("/api/v1/me", { token });
  const rendered = async () => {
    const { id } = await product.submit("report.render", {});
    const task = await product.ended(id);
    assert.equal(task.status, "completed", JSON.stringify(task.error));
    return task.output;
  };

  it("the configuration in the guide starts, and its program is a kind", { timeout: 60 * SECOND }, async () => {
    assert.equal((await rendered()).given, "--format pdf");
  });

  it("an issuer's users come with its tokens, and its groups give their roles", async () => {
    const ana = await me(first.token({ sub: "demo", name: "Ana" }));
    assert.deepEqual([ana.role, ana.name, ana.issuer], ["user", "Ana", ISSUER]);
    assert.notEqual(ana.user, "demo", "a subject of another issuer is another user");
    assert.equal((await me(first.token({ sub: "sam", groups: ["staff", "task-admins"] }))).role, "admin");
    await assert.rejects(me(first.token({ sub: "sam", aud: "others" })), { status: 401 });
  });

  it("changed keys are taken over within seconds, and a broken file leaves the old ones", async () => {
    const token = first.token({ sub: "ana" });
    const log = () => readFileSync(path.join(product.data, "log/tasktonic.log"), "utf8");
    const put = (text) => {
      writeFileSync(`${keys}.new`, text);
      renameSync(`${keys}.new`, keys);
    };
    put("{ this is no JSON");
    await until("the log says that the old keys were kept", () => log().includes("kept the old keys"), 15 * SECOND);
    assert.equal((await me(token)).issuer, ISSUER);
    const second = issuerKey("second");
    put(second.jwks);
    await until("the new key counts", async () => (await me(second.token({ sub: "ana" }))).user, 15 * SECOND);
    await assert.rejects(me(token), { status: 401 });
  });

  it("behind a proxy the configured name is answered, with its own cookies, and figures are not shown", async () => {
    const ask = (where, headers) =>
      new Promise((resolve, reject) => {
        const asked = { host: "127.0.0.1", port: product.port, path: where, headers };
        request(asked, (answer) => resolve(answer.resume().statusCode))
          .on("error", reject)
          .end();
      });
    const status = (host, cookie) => ask("/api/v1/me", { host, cookie: `${cookie}=${product.token}` });
    assert.equal(await status(PEOPLE, "__Host-tt_at"), 200);
    assert.equal(await status(PEOPLE, "tt_at"), 401, "over https another cookie counts");
    assert.equal(await status("others.example.com", "__Host-tt_at"), 421);
    assert.equal(await ask("/metrics", { host: PEOPLE, "x-forwarded-for": "203.0.113.9" }), 404);
    assert.equal(await ask("/metrics", { host: `127.0.0.1:${product.port}` }), 200);
  });

  it("a backup is put back as the guide says, and fences go on rising", { timeout: 90 * SECOND }, async () => {
    const [backup, store] = [path.join(desk, "backup"), path.join(product.data, "store")];
    const kept = await product.submit("noop", {});
    await product.server.stop();
    cpSync(product.data, backup, { recursive: true });
    await again();
    const lost = await product.submit("noop", {});
    const { fence } = await rendered();
    await product.server.stop();

    const mark = readFileSync(path.join(store, "acked"));
    rmSync(store, { recursive: true });
    cpSync(path.join(backup, "store"), store, { recursive: true });
    writeFileSync(path.join(store, "acked"), mark);
    const up = run("up", "--data", product.data, "--port", String(product.port), "--no-ui");
    await assert.rejects(up, (error) => error.code === 1 && /rounds \d+ to \d+ are missing/.test(error.stderr));

    await again("--accept-older");
    assert.equal((await product.task(kept.id)).id, kept.id);
    await assert.rejects(product.task(lost.id), { status: 404 });
    assert.ok((await rendered()).fence > fence, "a fence below one that was given out");
  });

  async function again(...more) {
    const { options } = product;
    product.options = { ...options, args: [...options.args, ...more] };
    await product.start();
    product.options = options;
    product.url = `http://127.0.0.1:${product.port}`;
    await product.kind("report.render");
  }
});
