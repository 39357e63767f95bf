// Workers that die, and workers that only seem to.
import assert from "node:assert/strict";
import { statusIs } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

/** From the death of a worker to the start of the next attempt. */
const RESTART_MAX = 15 * SECOND;
const LASTING = { sleep_ms: 9_000, progress_steps: 60 };

suite("worker-lost", { workers: false }, ({ scenario }) => {
  scenario(
    "a killed worker's task starts again within 15 s and completes, before the eyes of its owner",
    async ({ product, visit }) => {
      const first = await product.work("first", { kinds: ["noop"] });
      const task = await product.submit("noop", LASTING);
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: `/tasks/${task.id}?tab=timeline` });
      await visitor.connection("live");
      await statusIs(page.locator("article"), "running");
      await until("the page shows that it moves", async () => (await done(page)) >= 5);

      const second = await product.work("second", { kinds: ["noop"] });
      await first.kill9();
      const killedAt = performance.now();
      await until(
        "the page shows the second attempt",
        async () => /^2 of/.test(await fact(page, "Attempt")),
        RESTART_MAX + 2 * SECOND,
      );
      const afterMs = performance.now() - killedAt;
      assert.ok(afterMs <= RESTART_MAX, `the second attempt was seen after ${afterMs.toFixed(0)} ms`);
      console.log(`# kill -9 of the worker to the second attempt on the page: ${(afterMs / SECOND).toFixed(1)} s`);

      await page.getByText("Worker lost").waitFor();
      await statusIs(page.locator("article"), "completed", 20 * SECOND);
      const [one, two, ...more] = await product.attempts(task.id);
      assert.deepEqual(
        [one.outcome, first.is(one.worker), two.outcome, second.is(two.worker), more.length],
        ["lost", true, "succeeded", true, 0],
      );
      assert.deepEqual((await product.task(task.id)).output, { slept_ms: LASTING.sleep_ms, attempt: 2 });
      await second.stop();
    },
  );

  scenario(
    "a worker frozen past its lease is taken over from, and says nothing when it thaws",
    async ({ product, visit }) => {
      const frozen = await product.work("frozen", { kinds: ["noop"], concurrency: 1 });
      const task = await product.submit("noop", { sleep_ms: 14_000, progress_steps: 100 });
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: `/tasks/${task.id}?tab=timeline` });
      await statusIs(page.locator("article"), "running");
      await until("the page shows that it moves", async () => (await done(page)) >= 10);

      frozen.signal("SIGSTOP");
      const heir = await product.work("heir", { kinds: ["noop"], concurrency: 1 });
      await until(
        "another worker has taken over",
        async () => heir.is((await product.task(task.id)).worker),
        25 * SECOND,
      );
      await until("the page shows who has it now", async () => heir.is(await fact(page, "Worker")));
      await until("the heir reports", async () => (await done(page)) >= 1);
      await watchEverything(page);
      const mark = visitor.frames.length;
      frozen.signal("SIGCONT");
      await until(
        "the thawed worker has noticed",
        () => /lease (was lost|is lost|could not be renewed)/.test(frozen.logged()),
        20 * SECOND,
      );
      await statusIs(page.locator("article"), "completed", 25 * SECOND);

      const shown = await page.evaluate(() => window.__shown);
      const strangers = new Set(shown.map(({ worker }) => worker).filter((worker) => !heir.is(worker)));
      assert.deepEqual([...strangers], [], "other workers the page showed after the thaw");
      const steps = shown.map((one) => one.done).filter((one) => one !== null);
      assert.deepEqual(
        steps,
        steps.toSorted((a, b) => a - b),
        "progress of the frozen attempt was shown",
      );
      const told = visitor.frames
        .slice(mark)
        .filter(
          (text) => text.includes(task.id) && [...text.matchAll(/"worker":"([^"]*)"/g)].some(([, by]) => frozen.is(by)),
        );
      assert.deepEqual(told, [], "frames after the thaw that speak of the frozen worker");

      const attempts = await product.attempts(task.id);
      assert.deepEqual(
        attempts.map(({ number, outcome, worker }) => [number, outcome, frozen.is(worker) ? "frozen" : "heir"]),
        [
          [1, "lost", "frozen"],
          [2, "succeeded", "heir"],
        ],
      );
      await page.getByText("Worker lost").waitFor();
      const after = await product.submit("noop", {});
      assert.equal((await product.ended(after.id)).status, "completed");
    },
  );

  scenario("a worker that is asked to stop gives its task back, and no attempt is used up", async ({ product }) => {
    const [leaving] = product.workers.filter((worker) => !worker.ended);
    for (const worker of product.workers) if (worker !== leaving) await worker.stop();
    const task = await product.submit("noop", { sleep_ms: 120_000, progress_steps: 240 });
    await product.reached(task.id, ["running"]);
    const next = await product.work("next", { kinds: ["noop"] });
    const asked = performance.now();
    await leaving.stop(60 * SECOND);
    console.log(`# drain took ${((performance.now() - asked) / SECOND).toFixed(1)} s`);
    const taken = await until("the next worker has it", async () => {
      const now = await product.task(task.id);
      return next.is(now.worker) && now.status === "running" && now;
    });
    assert.equal(taken.attempt, 1);
    const [first] = await product.attempts(task.id);
    assert.equal(first.outcome, "released");
    await product.api(`/api/v1/tasks/${task.id}/cancel`, { method: "POST" });
    assert.equal((await product.ended(task.id)).status, "cancelled");
  });
});

/** The number before "of" in the panel of progress. */
async function done(page) {
  const bar = page.getByRole("progressbar");
  if (!(await bar.isVisible())) return Number.NaN;
  const text = await bar.getAttribute("aria-valuetext", { timeout: SECOND });
  return Number(/^([\d,]+) of/.exec(text)?.[1].replaceAll(",", ""));
}

async function fact(page, name) {
  return (
    await page
      .locator("dl > div", { has: page.locator("dt", { hasText: new RegExp(`^${name}$`) }) })
      .locator("dd")
      .first()
      .textContent({ timeout: SECOND })
  ).trim();
}

/** Writes down worker and progress with every change of the page, from inside it. */
function watchEverything(page) {
  return page.evaluate(() => {
    window.__shown = [];
    const look = () => {
      const worker = [...document.querySelectorAll("dl > div")].find(
        (one) => one.querySelector("dt")?.textContent === "Worker",
      );
      const text = document.querySelector("[role=progressbar]")?.getAttribute("aria-valuetext");
      const found = /^([\d,]+) of/.exec(text ?? "");
      window.__shown.push({
        worker: worker?.querySelector("dd")?.textContent?.trim() ?? null,
        done: found ? Number(found[1].replaceAll(",", "")) : null,
      });
    };
    new MutationObserver(look).observe(document.body, {
      subtree: true,
      childList: true,
      characterData: true,
      attributes: true,
    });
    look();
  });
}
