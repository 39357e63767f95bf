// Where a queued task stands in its line, and when it will probably start.
import assert from "node:assert/strict";
import { statusIs } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

/** No worker looks at this queue, so what is in it stays in line. */
const NOBODYS = "nobodys";
/** Long enough to be looked at while they wait, short enough for a test. */
const SLEEP_MS = 900;
const TASKS = 24;

suite("position", { args: ["--concurrency", "1"] }, ({ scenario }) => {
  scenario(
    "the place follows the line: others of one's tasks leave it, this one is moved",
    async ({ product, visit }) => {
      await product.kind("noop");
      const tasks = [];
      for (let n = 0; n < 4; n += 1) tasks.push(await product.submit("noop", { sleep_ms: 1 }, { queue: NOBODYS }));
      const last = tasks.at(-1);
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: `/tasks/${last.id}` });
      const place = page.getByTestId("place");
      const says = (text) =>
        until(`the place says “${text}”`, async () => (await place.textContent()).includes(text), 20 * SECOND);
      await says("4th of your tasks in this line; nobody else waits in it.");
      assert.match(await page.getByTestId("start").textContent(), /not known yet: fewer than 8 of your tasks/);
      await product.api(`/api/v1/tasks/${tasks[1].id}/cancel`, { method: "POST" });
      await says("3rd of your tasks in this line");
      await product.api(`/api/v1/tasks/${last.id}/reschedule`, { body: { place: "front" } });
      await says("Next of your tasks in this line");
    },
  );

  scenario("once enough has started the page says when, and it is so", async ({ product, visit }) => {
    await product.kind("noop");
    const tasks = [];
    for (let n = 0; n < TASKS; n += 1) tasks.push(await product.submit("noop", { sleep_ms: SLEEP_MS }));
    const last = tasks.at(-1);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${last.id}` });
    const start = page.getByTestId("start");
    await until("a range is stated", async () => /^Probably starts/.test(await start.textContent()), 60 * SECOND);
    const said = await product.api(`/api/v1/tasks/${last.id}/position`);
    assert.equal(said.start.is, "range", JSON.stringify(said));
    const { least, most } = said.ahead;
    assert.ok(least === most && most < TASKS, JSON.stringify(said.ahead));
    await statusIs(page.locator("article"), "completed");
    assert.equal(await start.count(), 0, "who has started has no place");
    const { started_at } = await product.task(last.id);
    const waited = Date.parse(started_at) - Date.parse(said.at);
    // Eight of ten times it is inside; far outside it never is.
    const { from_ms, to_ms } = said.start;
    assert.ok(
      waited > from_ms / 2 - SECOND && waited < 2 * to_ms + SECOND,
      `${waited} ms, said ${from_ms} to ${to_ms}`,
    );
  });
});
