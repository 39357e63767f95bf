// Each part of the full architecture dies at work, before the eyes of whoever has a page open: no reload, the
// exact state in the end, nothing lost.
import assert from "node:assert/strict";
import { member, members, replaced, socketsOf, workerOf } from "./lib/fleet.mjs";
import { MODE } from "./lib/mode.mjs";
import { OpenPage } from "./lib/open-page.mjs";
import { isGone, survivors } from "./lib/processes.mjs";
import { suite } from "./lib/suite.mjs";
import { Traffic } from "./lib/traffic.mjs";
import { SECOND, until } from "./lib/wait.mjs";

/** From the death of a worker to the start of the next attempt, as promised. */
const RESTART_MAX = 15 * SECOND;
/** From the death of another part to its next life. */
const REPLACED_MAX = 20 * SECOND;
/** Tasks that outlive what is done to the parts around them: one fault, or two in a row. */
const SHORT = { sleep_ms: 8_000, progress_steps: 80 };
const LONG = { sleep_ms: 15_000, progress_steps: 150 };

/** What an acknowledged task survives here: the loss of the process that has it, or of a whole master. */
const CLASS = MODE === "cluster" ? "replicated" : "disk";

const seconds = (ms) => `${(ms / SECOND).toFixed(1)} s`;

suite("architecture", { args: ["--durability", CLASS] }, ({ scenario }) => {
  /** What knows nothing of the store is shown once. */
  const once = MODE === "cluster" ? () => undefined : scenario;

  scenario("kill -9 of the worker at work", async (world) => {
    const { product, visit } = world;
    const traffic = new Traffic(world);
    const open = await OpenPage.of(product, await visit(), SHORT);
    const worker = await workerOf(product, open.task.id);
    process.kill(worker.pid, "SIGKILL");
    const killedAt = performance.now();
    await until(
      "the page shows the second attempt",
      async () => {
        const shown = await open.page.getByRole("tabpanel").locator("pre").textContent();
        return JSON.parse(shown).attempt === 2;
      },
      RESTART_MAX + 2 * SECOND,
    );
    const afterMs = performance.now() - killedAt;
    assert.ok(afterMs <= RESTART_MAX, `the second attempt was seen after ${seconds(afterMs)}`);
    await replaced(product.data, worker, REPLACED_MAX);
    await open.endsExactly({ attempts: ["lost", "succeeded"] });
    report("worker to the second attempt on the page", afterMs, await traffic.settle());
  });

  once("kill -9 of each server, one after the other", async (world) => {
    const { product, visit } = world;
    const traffic = new Traffic(world);
    const open = await OpenPage.of(product, await visit(), LONG);
    const cuts = [];
    for (const name of ["server-1", "server-2"]) {
      const before = await open.cuts();
      const server = member(product.data, name);
      const holds = await holdsSocket(open, server, () => process.kill(server.pid, "SIGKILL"));
      if (holds) cuts.push(await open.liveAgain(before));
      await replaced(product.data, server, REPLACED_MAX);
      await answers(server.port);
    }
    assert.ok(cuts.length > 0, "the page's socket was at none of them");
    const { ended } = await open.endsExactly({ attempts: ["succeeded"] });
    assert.equal(ended.attempt, 1);
    report("server to a page that is live again", Math.max(...cuts), await traffic.settle());
  });

  scenario("a server that is asked to stop hands its sockets to the other, with their cursors", async (world) => {
    const { product, visit } = world;
    const traffic = new Traffic(world);
    const open = await OpenPage.of(product, await visit(), LONG);
    const cuts = [];
    for (const name of ["server-1", "server-2"]) {
      const before = await open.cuts();
      const said = open.visitor.sockets.length;
      const server = member(product.data, name);
      const holds = await holdsSocket(open, server, () => process.kill(server.pid, "SIGTERM"));
      if (holds) {
        cuts.push(await open.liveAgain(before));
        // One that found nobody has heard nothing.
        const next = open.visitor.sockets.slice(said).find((socket) => socket.received.length > 0);
        const hello = next.sent.map((text) => JSON.parse(text)).find((frame) => frame.t === "hello");
        assert.ok(hello.cursor, "the page came back without its cursor");
        const told = next.received.map((text) => JSON.parse(text).t);
        assert.ok(!told.includes("reset") && !told.includes("snapshot"), `it was told ${told}`);
      }
      await replaced(product.data, server, 2 * REPLACED_MAX);
      await answers(server.port);
    }
    assert.ok(cuts.length > 0, "the page's socket was at none of them");
    await open.endsExactly({ attempts: ["succeeded"] });
    report("drain of a server to a page that is live again", Math.max(...cuts), await traffic.settle());
  });

  once("nginx reads its configuration again: no socket notices", async (world) => {
    const { product, visit } = world;
    const traffic = new Traffic(world);
    const open = await OpenPage.of(product, await visit(), SHORT);
    const nginx = member(product.data, "gateway");
    process.kill(nginx.pid, "SIGHUP");
    await open.endsExactly({ attempts: ["succeeded"] });
    assert.equal(await open.cuts(), 0, `the page's line was cut: ${JSON.stringify(await open.lines())}`);
    assert.equal(member(product.data, "gateway").pid, nginx.pid);
    report("reload of nginx", 0, await traffic.settle());
  });

  once("kill -9 of nginx", async (world) => {
    const { product, visit } = world;
    const traffic = new Traffic(world);
    const open = await OpenPage.of(product, await visit(), SHORT);
    const nginx = member(product.data, "gateway");
    process.kill(nginx.pid, "SIGKILL");
    await replaced(product.data, nginx, REPLACED_MAX);
    const afterMs = await open.liveAgain(0);
    await open.endsExactly({ attempts: ["succeeded"] });
    report("nginx to a page that is live again", afterMs, await traffic.settle());
  });

  scenario(MODE === "cluster" ? "kill -9 of a master of the cluster" : "kill -9 of Redis", async (world) => {
    const { product, visit } = world;
    const traffic = new Traffic(world);
    const open = await OpenPage.of(product, await visit(), LONG);
    const redis = await whereTheTaskIs(product, open.task.id);
    process.kill(redis.pid, "SIGKILL");
    const killedAt = performance.now();
    const key = await until(
      "a task is accepted again",
      async () => product.submit("noop", {}, { tags: ["after"] }),
      REPLACED_MAX,
    );
    const acceptedAfter = performance.now() - killedAt;
    const wasAt = await open.done();
    await until(
      "the page moves again",
      async () => (await open.done()) > wasAt || (await product.task(open.task.id)).status === "completed",
      REPLACED_MAX,
    );
    const movesAfter = performance.now() - killedAt;
    await replaced(product.data, redis, REPLACED_MAX);
    const { attempts } = await open.endsExactly();
    // Leases outlive their store: who worked goes on, unless it could not say so in time.
    assert.ok(attempts.at(-1) === "succeeded" && attempts.length <= 2, attempts.join());
    assert.equal((await product.ended(key.id)).status, "completed");
    console.log(`# Redis: a task was accepted ${seconds(acceptedAfter)} after its end`);
    report("Redis to a page that moves again", movesAfter, await traffic.settle());
  });

  once("kill -9 of `up` alone: everybody else ends by themselves, and the next start goes on", async (world) => {
    const { product, visit } = world;
    const settled = await product.submit("noop", {});
    await product.ended(settled.id);
    const later = await product.submit("noop", {}, { delay_ms: 3_600_000 });
    const open = await OpenPage.of(product, await visit(), LONG);
    const before = members(product.data);
    process.kill(product.server.pid, "SIGKILL");
    await until("everybody has ended", () => survivors().length === 0, 40 * SECOND);
    assert.ok(before.every(({ pid }) => isGone(pid)));
    await product.start();
    const afterMs = await open.liveAgain(0);
    await open.endsExactly();
    assert.deepEqual(
      [(await product.task(settled.id)).status, (await product.task(later.id)).status],
      ["completed", "scheduled"],
    );
    console.log(`# ${MODE}: the page was away for ${seconds(afterMs)} in all`);
  });

  scenario("at the end every part is there", async ({ product }) => {
    const names = members(product.data)
      .map(({ name }) => name)
      .toSorted();
    for (const part of ["gateway", "pages-1", "pages-2", "server-1", "server-2", "worker-1", "worker-2", "worker-3"]) {
      assert.ok(names.includes(part), `${part} is not among ${names}`);
    }
  });
});

function report(what, ms, { accepted, again }) {
  console.log(`# ${MODE}: ${what}: ${seconds(ms)}; ${accepted} tasks accepted meanwhile, ${again} said again, 0 lost`);
}

/** Ends `server`, and says whether it had the page's socket: the page is the only visitor. */
async function holdsSocket(open, server, end) {
  await open.visitor.connection("live");
  const sockets = await socketsOf(server.port);
  end();
  await until(`${server.name} has ended`, () => isGone(server.pid), 30 * SECOND);
  return sockets > 0;
}

const answers = (port) =>
  until("it answers", async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok, REPLACED_MAX);

/** The master that has the keys of a task. */
async function whereTheTaskIs(product, id) {
  const { redis } = product;
  const { port } = (await redis.keys()).find(({ key }) => key.endsWith(`:d:${id}`));
  return members(product.data).find((one) => one.port === port);
}
