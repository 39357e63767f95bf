// Listened at from outside: what lies in Redis, what travels through it, and what nginx lets through to whom.
import assert from "node:assert/strict";
import { request } from "node:http";
import path from "node:path";
import { statusIs } from "./lib/browser.mjs";
import { accessLog, entries, listen, logOf, member, members } from "./lib/fleet.mjs";
import { listeners } from "./lib/processes.mjs";
import { suite } from "./lib/suite.mjs";
import { until } from "./lib/wait.mjs";

/** 127.0.0.1 and ::1 as the kernel writes them. */
const LOOPBACK = ["0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"];
/** Servers and pages write a line per request. */
const LOUD = { TASKTONIC_LOG: "info,tasktonic_server=debug", TASKTONIC_PAGES_LOG: "requests" };
const FORGED = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJkZW1vIn0.";
const HOUR_MS = 3_600_000;

suite("tap", { env: LOUD }, ({ scenario }) => {
  scenario("what waits is in Redis lists, by user, in the order it came", async ({ product }) => {
    const { redis } = product;
    const [port] = await redis.masters();
    await product.kind("noop");
    // More work than there are hands, so that some of it waits.
    const tasks = [];
    for (let n = 0; n < 12; n += 1) tasks.push(await product.submit("noop", { sleep_ms: 3_000 }));
    const waiting = await until("some wait and some run", async () => {
      const keys = (await redis.keys()).map(({ key }) => key).filter((key) => key.endsWith(":q:noop"));
      assert.equal(keys.length, 1, keys.join());
      assert.equal(await redis.ask(port, "type", keys[0]), "list");
      const entries = (await redis.ask(port, "lrange", keys[0], "0", "-1")).split("\n");
      const there = entries.map((entry) => entry.split(":")[0]).filter(Boolean);
      return there.length > 0 && there.length < tasks.length && there;
    });
    // The oldest at one end.
    const ids = tasks.map((task) => task.id).filter((id) => waiting.includes(id));
    const order = waiting[0] === ids[0] ? waiting : waiting.toReversed();
    assert.deepEqual(order, ids);
    for (const { id } of tasks) assert.equal((await product.ended(id)).status, "completed");
  });

  scenario("every key is ours, and every key of a user has that user's name in it", async ({ product }) => {
    const { redis } = product;
    const { user } = await product.api("/api/v1/me");
    const names = ["ana", "ben"];
    for (const name of names) {
      const token = await product.mint(name);
      await product.api("/api/v1/tasks", { token, body: { kind: "noop", payload: {}, delay_ms: HOUR_MS } });
      const done = await product.api("/api/v1/tasks", { token, body: { kind: "noop", payload: {} } });
      await until("it has ended", async () => {
        const { status } = await product.api(`/api/v1/tasks/${done.id}`, { token });
        return status === "completed";
      });
      const ids = (await product.api("/api/v1/tasks", { token })).tasks.map((task) => task.id);
      for (const { key } of await redis.keys()) {
        if (!ids.some((id) => key.includes(id))) continue;
        assert.match(key, new RegExp(`^tt:\\{[^}]+\\}:u:${name}:`), "a key with a task's id names its owner");
      }
    }
    const keys = (await redis.keys()).map(({ key }) => key);
    assert.deepEqual(
      keys.filter((key) => !key.startsWith("tt:{")),
      [],
    );
    const owners = new Set(keys.flatMap((key) => /^tt:\{[^}]+\}:u:([^:]+):/.exec(key)?.[1] ?? []));
    for (const name of [user, ...names]) assert.ok(owners.has(name), `${name} is not among ${[...owners]}`);
  });

  scenario("a status is read in Redis when it is asked for", async ({ product }) => {
    const { redis } = product;
    const [port] = await redis.masters();
    const task = await product.submit("noop", {}, { delay_ms: HOUR_MS });
    const tap = listen(redis, port, path.join(product.logs, "monitor.log"), "monitor");
    await until("the tap is open", () => tap.text().startsWith("OK"));
    for (let n = 0; n < 3; n += 1) {
      const before = tap.text().length;
      assert.equal((await product.task(task.id)).status, "scheduled");
      await until("the question was seen", () => tap.text().slice(before).includes(task.id));
    }
    await tap.stop();
  });

  scenario("progress travels by sharded publish/subscribe, on the channel of its user", async (world) => {
    const { product, visit } = world;
    const { redis } = product;
    const [port] = await redis.masters();
    const visitor = await visit();
    await visitor.signIn(product);
    const { user } = await product.api("/api/v1/me");
    const channel = await until("somebody listens for this user", async () => {
      const all = (await redis.ask(port, "pubsub", "shardchannels")).split("\n");
      return all.find((one) => one.endsWith(`:u:${user}`));
    });
    const calls = async () =>
      Number(/cmdstat_spublish:calls=(\d+)/.exec(await redis.ask(port, "info", "commandstats"))[1]);
    const before = await calls();
    const tap = listen(redis, port, path.join(product.logs, "channel.log"), "ssubscribe", channel);
    await until("the tap is open", () => tap.text().includes(channel));
    const task = await product.submit("noop", { sleep_ms: 3_000, progress_steps: 20 });
    await visitor.page.goto(`${product.url}/tasks/${task.id}`);
    await statusIs(visitor.page.locator("article"), "completed");
    const heard = tap.text();
    await tap.stop();
    const reports = heard
      .split("\n")
      .filter((line) => line.includes(task.id) && /"p":\{"done":\d+,"total":20/.test(line));
    assert.ok(reports.length >= 2, `heard on ${channel}: ${heard.slice(0, 2_000)}`);
    assert.ok((await calls()) > before + 2, "SPUBLISH was called");
    assert.doesNotMatch(
      await redis.ask(port, "info", "commandstats"),
      /cmdstat_publish:/,
      "PUBLISH goes to every node",
    );
    const others = (await redis.ask(port, "pubsub", "channels")).split("\n").filter(Boolean);
    assert.deepEqual(others, [], "channels that are not sharded");
  });

  scenario("without a good token nothing gets past nginx, the public routes apart", async ({ product }) => {
    const mark = `tap${Date.now().toString(36)}`;
    const tries = [];
    for (const [how, headers] of Object.entries({
      none: {},
      forged: { authorization: `Bearer ${FORGED}` },
      cookie: { cookie: `tt_at=${FORGED}` },
      empty: { authorization: "Bearer " },
      claimed: { "x-tt-user": "demo", "x-tt-role": "admin", "x-forwarded-user": "demo" },
      framework: { "x-middleware-subrequest": "proxy:proxy:proxy:proxy:proxy", "x-nextjs-data": "1" },
    })) {
      for (const [method, where] of [
        ["GET", `/tasks/${mark}`],
        ["GET", `/${mark}`],
        ["GET", `/tasks/${mark}.rsc`],
        ["GET", `/tasks/${mark}.segments/_tree.segment.rsc`],
        ["GET", `/_next/data/${mark}/tasks.json`],
        ["GET", `/_next/image?url=%2F${mark}`],
        ["POST", `/tasks/${mark}`],
        ["GET", `/api/v1/tasks/${mark}`],
        ["POST", `/api/v1/tasks/${mark}/cancel`],
        ["GET", `/api/v1/files/${mark}`],
        ["DELETE", `/api/v1/files/${mark}`],
        ["POST", `/api/v1/worker/sync?${mark}`],
        ["GET", `/metrics?${mark}`],
        ["GET", `/internal/${mark}`],
      ]) {
        const extra = where.endsWith(".rsc")
          ? { rsc: "1" }
          : method === "POST"
            ? { "next-action": "0".repeat(42) }
            : {};
        const answer = await ask(product, method, where, { ...headers, ...extra });
        tries.push([how, method, where, answer.status]);
        assert.ok(
          [302, 307, 400, 401, 403, 404].includes(answer.status),
          `${how}: ${method} ${where}: ${answer.status}`,
        );
        if (answer.status >= 300 && answer.status < 400) {
          assert.match(answer.headers.location, /^(http:\/\/[^/]+)?\/(login|api\/v1\/auth\/refresh)\?/);
        }
      }
      const upgrade = await ask(product, "GET", "/ws", { ...headers, ...UPGRADE, origin: product.url });
      assert.equal(upgrade.status, 401, `${how}: /ws`);
    }
    // What is let through arrives, so the logs would show the rest as well.
    await product.ask(`/api/v1/tasks/${mark}-known`);
    await product.ask(`/tasks/${mark}-known`);
    const names = members(product.data).map(({ name }) => name);
    const logs = (prefix) =>
      names
        .filter((name) => name.startsWith(prefix))
        .flatMap((name) => logOf(product.data, name).split("\n"))
        .filter((line) => line.includes(mark));
    for (const prefix of ["server-", "pages-"]) {
      await until(`${prefix}* wrote down what was let through`, () =>
        logs(prefix).some((line) => line.includes(`${mark}-known`)),
      );
      assert.deepEqual(
        logs(prefix).filter((line) => !line.includes(`${mark}-known`)),
        [],
        `${prefix}* saw requests without a token`,
      );
    }
    const seen = accessLog(product.data).filter(({ path: where }) => where.includes(mark));
    const passed = seen.filter(({ path: where, upstream }) => upstream !== "" && !where.includes(`${mark}-known`));
    assert.ok(seen.length > tries.length / 2, `nginx wrote down ${seen.length} of ${tries.length}`);
    assert.deepEqual(passed, [], "nginx asked somebody");
    console.log(`# ${tries.length} requests without a good token: none reached a server or the pages`);
  });

  scenario("nothing listens for other machines but nginx, if it is told to", async ({ product }) => {
    const nginx = member(product.data, "gateway");
    const open = listeners();
    assert.ok(open.some(({ port }) => port === product.port));
    for (const { address, port, pid } of open) {
      if (port === product.port) continue;
      assert.ok(LOOPBACK.includes(address), `process ${pid} listens on ${address}:${port}`);
    }
    assert.equal(nginx.port, product.port);
    const at = members(product.data).flatMap(({ port }) => port ?? []);
    for (const port of at)
      assert.ok(
        open.some((one) => one.port === port),
        `nobody listens on ${port}`,
      );
  });

  scenario("no log has a token, a password or a query in it", async ({ product }) => {
    await product.ask("/api/v1/tasks?q=secretquery");
    const password = product.redis.env.REDISCLI_AUTH;
    for (const { name } of members(product.data)) {
      const text = logOf(product.data, name);
      for (const secret of [product.token, product.password, password, "secretquery", FORGED]) {
        assert.ok(!text.includes(secret), `the log of ${name} has a secret in it`);
      }
    }
    assert.ok(entries(logOf(product.data, "server-1")).length > 0, "the log of a server is JSON");
  });
});

const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-protocol": "tt.v1",
};

/** One request with exactly these headers, through nginx. */
function ask(product, method, where, headers) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(product.url);
    const asked = request({
      host: "127.0.0.1",
      port,
      path: where,
      method,
      headers: { host: `${hostname}:${port}`, ...headers },
    });
    asked.on("response", (answer) => resolve({ status: answer.resume().statusCode, headers: answer.headers }));
    asked.on("upgrade", (answer, socket) => {
      socket.destroy();
      resolve({ status: answer.statusCode, headers: answer.headers });
    });
    asked.on("error", reject);
    asked.end();
  });
}
