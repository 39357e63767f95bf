// Two servers of pages behind nginx: one browser served by both, and nothing that a page's server would do that
// the API did not decide.
import assert from "node:assert/strict";
import { request } from "node:http";
import { connect } from "node:net";
import { statusIs } from "./lib/browser.mjs";
import { accessLog, entries, logOf, member, replaced } from "./lib/fleet.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

const PAGES = ["pages-1", "pages-2"];
const HOUR_MS = 3_600_000;
/** Headers by which frameworks were once told to skip their own checks. */
const FRAMEWORK = {
  "x-middleware-subrequest": "proxy:proxy:proxy:proxy:proxy",
  "x-middleware-prefetch": "1",
  "x-middleware-invoke": "1",
  "x-middleware-rewrite": "/login",
  "x-middleware-next": "1",
  "x-nextjs-data": "1",
  "x-invoke-path": "/tasks",
  "x-matched-path": "/login",
  "x-forwarded-host": "evil.example",
  "x-original-url": "/login",
  "x-rewrite-url": "/login",
};

suite("pages", { env: { TASKTONIC_PAGES_LOG: "requests" } }, ({ scenario }) => {
  scenario("Server Actions of one browser are answered by both, in turn", async ({ product, visit }) => {
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product);
    const before = PAGES.map((name) => actions(product, name));
    for (let n = 0; n < 8; n += 1) {
      const task = await product.submit("noop", {}, { delay_ms: HOUR_MS });
      await page.goto(`${product.url}/tasks/${task.id}`);
      await visitor.connection("live");
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      await statusIs(page.locator("article"), "cancelled");
      assert.equal((await product.task(task.id)).status, "cancelled");
    }
    const share = PAGES.map((name, at) => actions(product, name) - before[at]);
    console.log(`# of 8 cancellations by Server Action, the two servers of pages took ${share.join(" and ")}`);
    assert.ok(
      share.every((n) => n > 0),
      `one of them took all: ${share}`,
    );
    for (const name of PAGES) assert.doesNotMatch(logOf(product.data, name), /Failed to find Server Action/);
  });

  scenario("a form that one server rendered is sent to the other", async ({ product, visit }) => {
    await product.kind("noop");
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: "/new?kind=noop" });
    const ids = new Set();
    for (let n = 0; n < 4; n += 1) {
      // The form was rendered once, and each submission may go elsewhere.
      await page.goto(`${product.url}/new?kind=noop`);
      await visitor.connection("live");
      await page.getByLabel("Duration (ms)").fill("100");
      await page.getByRole("button", { name: "Run it" }).click();
      await page.waitForURL(/\/tasks\/[\w-]{16}$/);
      await statusIs(page.locator("article"), "completed");
      ids.add(page.url().split("/").at(-1));
    }
    assert.equal(ids.size, 4);
  });

  scenario("one of them dies, and the browser goes on with the other", async ({ product, visit }) => {
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product);
    const dead = member(product.data, "pages-1");
    process.kill(dead.pid, "SIGKILL");
    for (let n = 0; n < 4; n += 1) {
      const task = await product.submit("noop", {}, { delay_ms: HOUR_MS });
      const answer = await page.goto(`${product.url}/tasks/${task.id}`);
      assert.equal(answer.status(), 200);
      await visitor.connection("live");
      await page.getByRole("button", { name: "Cancel", exact: true }).click();
      await statusIs(page.locator("article"), "cancelled");
    }
    await replaced(product.data, dead, 30 * SECOND);
  });

  scenario("an upgrade on a page's path stays a plain request", async ({ product }) => {
    for (const where of [
      "/tasks",
      "/login",
      "/",
      "/_next/webpack-hmr",
      "/_next/static/x",
      "/tasks?x=http://169.254.169.254/",
    ]) {
      const head = await raw(product, [
        `GET ${where} HTTP/1.1`,
        `Host: ${new URL(product.url).host}`,
        `Cookie: tt_at=${product.token}`,
        `Origin: ${product.url}`,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ]);
      assert.match(head, /^HTTP\/1\.1 (200|302|307|308|400|404|426) /, `${where}: ${head}`);
      assert.doesNotMatch(head, /^upgrade: *websocket/im, where);
    }
  });

  scenario("headers that once skipped a framework's checks change nothing", async ({ product }) => {
    const task = await product.submit("noop", {}, { delay_ms: HOUR_MS });
    const signedIn = { cookie: `tt_at=${product.token}` };
    for (const where of ["/tasks", `/tasks/${task.id}`, "/new", "/login", "/nothing/here"]) {
      for (const [who, headers] of Object.entries({ nobody: {}, "the user": signedIn })) {
        const plain = await get(product, where, headers);
        for (const [name, value] of Object.entries(FRAMEWORK)) {
          const told = await get(product, where, { ...headers, [name]: value });
          assert.deepEqual(shape(told), shape(plain), `${where} by ${who} with ${name}`);
        }
      }
    }
  });

  scenario("without a token no form of a page's address has its content", async ({ product }) => {
    const task = await product.submit("noop", {}, { delay_ms: HOUR_MS, tags: ["only-mine"] });
    const forms = [
      [`/tasks/${task.id}`, {}],
      [`/tasks/${task.id}`, { rsc: "1" }],
      [`/tasks/${task.id}?_rsc=1`, { rsc: "1", "next-router-prefetch": "1" }],
      [`/tasks/${task.id}`, { rsc: "1", "next-router-segment-prefetch": "/_tree" }],
      [`/tasks/${task.id}.rsc`, {}],
      [`/tasks/${task.id}.segments/_tree.segment.rsc`, {}],
      [`/_next/data/x/tasks/${task.id}.json`, {}],
      [`/en/tasks/${task.id}`, {}],
      [`/tasks/%2e%2e/tasks/${task.id}`, {}],
      [`//tasks/${task.id}`, {}],
      [`/tasks/${task.id}/`, {}],
      [`/TASKS/${task.id}`, {}],
      [`/_next/static/../../tasks/${task.id}`, {}],
    ];
    for (const [where, headers] of forms) {
      const answer = await get(product, where, headers);
      assert.ok(answer.status !== 200, `${where}: ${answer.status}`);
      for (const word of ["only-mine", "noop"]) assert.ok(!answer.body.includes(word), `${where} shows ${word}`);
    }
  });

  scenario("a Server Action called by its id decides by the caller's own token", async ({ product, visit }) => {
    const visitor = await visit();
    const { page } = visitor;
    const task = await product.submit("noop", {}, { delay_ms: HOUR_MS });
    await visitor.signIn(product, { next: `/tasks/${task.id}` });
    const calling = page.waitForRequest((asked) => asked.method() === "POST" && "next-action" in asked.headers());
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    const call = await calling;
    await statusIs(page.locator("article"), "cancelled");
    const mine = await product.submit("noop", {}, { delay_ms: HOUR_MS });
    const again = (cookie, { origin = product.url, id = mine.id } = {}) =>
      fetch(call.url(), {
        method: "POST",
        redirect: "manual",
        headers: {
          "next-action": call.headers()["next-action"],
          "content-type": call.headers()["content-type"] ?? "text/plain;charset=UTF-8",
          accept: "text/x-component",
          ...(origin ? { origin } : {}),
          ...(cookie ? { cookie: `tt_at=${cookie}` } : {}),
        },
        body: call.postData().replaceAll(task.id, id),
      });
    assert.equal((await again(undefined)).status, 401, "without a token");
    assert.equal((await again(product.token, { origin: null })).status, 403, "without an origin");
    assert.equal((await again(product.token, { origin: "https://evil.example" })).status, 403, "of another origin");
    const stranger = await product.mint("stranger");
    const foreign = await (await again(stranger)).text();
    const missing = await (await again(stranger, { id: "AAAAAAAAAAAAAAAA" })).text();
    assert.equal(
      foreign.replaceAll(mine.id, ""),
      missing.replaceAll("AAAAAAAAAAAAAAAA", ""),
      "a foreign id is told from none",
    );
    assert.equal((await product.task(mine.id)).status, "scheduled");
    assert.equal((await again(product.token)).status, 200);
    assert.equal((await product.task(mine.id)).status, "cancelled");
  });

  scenario(
    "what is a user's is kept by no cache, and what is nobody's comes from nginx",
    async ({ product, visit }) => {
      const visitor = await visit();
      const { page } = visitor;
      const seen = [];
      page.on("response", (response) =>
        seen.push([new URL(response.url()).pathname, response.status(), response.headers()]),
      );
      const task = await product.submit("noop", {});
      await product.ended(task.id);
      await visitor.signIn(product);
      await page.goto(`${product.url}/tasks/${task.id}`);
      await visitor.connection("live");
      const statics = seen.filter(([where]) => where.startsWith("/_next/static/"));
      const rest = seen.filter(([where, status]) => !where.startsWith("/_next/static/") && status === 200);
      assert.ok(statics.length > 3 && rest.length > 2, `${statics.length} and ${rest.length}`);
      for (const [where, , headers] of rest) {
        if (/\.(svg|ico|png)$/.test(where)) continue;
        assert.match(headers["cache-control"] ?? "", /no-store/, `${where}: ${headers["cache-control"]}`);
      }
      for (const [where, , headers] of statics) assert.match(headers["cache-control"] ?? "", /immutable/, where);
      const log = await until("nginx wrote them down", () => {
        const lines = accessLog(product.data).filter((line) => line.path?.startsWith("/_next/static/"));
        return lines.length >= statics.length && lines;
      });
      for (const line of log) assert.equal(line.upstream, "", `${line.path} was asked of a server behind nginx`);
    },
  );
});

/** Server Actions that a server of pages wrote down. */
const actions = (product, name) => entries(logOf(product.data, name)).filter((line) => line.action === true).length;

/** What must not depend on a header: everything but what is new with each answer. */
function shape({ status, headers, body }) {
  const { "content-type": type, "cache-control": cache, location } = headers;
  return {
    status,
    type,
    cache,
    location,
    title: /<title>([^<]*)/.exec(body)?.[1],
    signIn: body.includes('name="password"'),
  };
}

/** One request with exactly these headers and this path, through nginx. */
function get(product, where, headers) {
  return new Promise((resolve, reject) => {
    const { host, port } = new URL(product.url);
    const asked = request({ host: "127.0.0.1", port, path: where, headers: { host, accept: "text/html", ...headers } });
    asked.on("response", async (answer) => {
      const body = (await answer.toArray()).join("");
      resolve({ status: answer.statusCode, headers: answer.headers, body });
    });
    asked.on("error", reject);
    asked.end();
  });
}

/** The head of the answer to these lines. */
function raw(product, lines) {
  return new Promise((resolve, reject) => {
    const socket = connect(product.port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (!text.includes("\r\n\r\n")) return;
      socket.destroy();
      resolve(text.split("\r\n\r\n")[0]);
    });
    socket.on("error", reject);
    socket.on("end", () => reject(new Error(`it hung up: ${text}`)));
    socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  });
}
