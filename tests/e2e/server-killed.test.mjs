// The server dies and comes back; the page stays where it is and ends up at the truth.
import assert from "node:assert/strict";
import { statusIs } from "./lib/browser.mjs";
import { survivors } from "./lib/processes.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

suite("server-killed", {}, ({ scenario }) => {
  scenario(
    "kill -9 of everything: the open pages reconnect without a reload and show the exact state",
    async ({ product, visit }) => {
      await product.kind("noop");
      const settled = await product.submit("noop", {}, { tags: ["settled"] });
      await product.ended(settled.id);
      const underWay = await product.submit("noop", { sleep_ms: 8_000, progress_steps: 80 }, { tags: ["under-way"] });
      const later = await product.submit("noop", {}, { tags: ["later"], delay_ms: 3_600_000 });
      const failed = await product.submit("noop", { fail_rate: 1 }, { attempts_max: 1 });
      await product.ended(failed.id);

      const visitor = await visit();
      const list = visitor.page;
      await visitor.signIn(product);
      const detail = await visitor.context.newPage();
      await detail.goto(`${product.url}/tasks/${underWay.id}?tab=raw`);
      await statusIs(detail.locator("article"), "running");
      for (const page of [list, detail]) {
        await live(page);
        await page.evaluate(() => {
          window.__neverReloaded = true;
        });
      }
      await product.reached(underWay.id, ["running"]);

      const children = survivors().filter((pid) => pid !== product.server.pid);
      await product.server.kill9();
      await until("the list says that the line is cut", async () => (await connection(list)) !== "live");
      await until(
        "the pages' server went with it",
        () => survivors().filter((pid) => children.includes(pid)).length === 0,
      );
      // Nobody knows whether the task goes on, so the page does not act as if it did.
      await detail.getByText(/^Last heard of/).waitFor();
      assert.equal(await detail.getByText(/about to end|\d s left/).count(), 0);
      // Who says so and what stops the bars are told by two hooks, one draw after the other.
      await until("nothing moves as if it were known", () =>
        detail.evaluate(() => document.documentElement.hasAttribute("data-silent")),
      );
      // What is accepted is accepted, and what nobody can ask for is not answered.
      await assert.rejects(product.task(settled.id));
      await product.start();
      const upAt = performance.now();
      for (const page of [list, detail]) await live(page, 40 * SECOND);
      console.log(
        `# both pages were live ${((performance.now() - upAt) / SECOND).toFixed(1)} s after the server was ready`,
      );

      // While it goes on: the list shows what the API says.
      await product.reached(underWay.id, ["completed"], 40 * SECOND);
      await statusIs(detail.locator("article"), "completed");
      await until("the open task is, word for word, what the API says", async () => {
        const shown = JSON.parse(await detail.getByRole("tabpanel").locator("pre").textContent());
        assert.deepEqual(shown, await product.task(underWay.id));
        return true;
      });
      await until("the open list is what the API says", async () => {
        const { tasks } = await product.api("/api/v1/tasks");
        const shown = await list
          .locator("li[data-task]")
          .evaluateAll((rows) =>
            rows.map((row) => [row.dataset.task, row.querySelector("[data-slot=status]").dataset.status]),
          );
        assert.deepEqual(
          shown,
          tasks.map((task) => [task.id, task.status]),
        );
        return true;
      });
      await until("the counts are what the API says", async () => {
        const counts = await product.api("/api/v1/tasks/counts");
        const tabs = Object.fromEntries(
          await list
            .locator("nav [data-tab]")
            .evaluateAll((all) => all.map((tab) => [tab.dataset.tab, Number(tab.querySelector("span").textContent)])),
        );
        assert.deepEqual(
          [tabs.all, tabs.completed, tabs.failed, tabs.scheduled, tabs.running],
          [counts.all, counts.completed, counts.failed, counts.scheduled, counts.running],
        );
        return true;
      });
      for (const page of [list, detail])
        assert.equal(await page.evaluate(() => window.__neverReloaded), true, "it was reloaded");
      const [first, second] = await product.attempts(underWay.id);
      assert.deepEqual([first.outcome, second.outcome], ["lost", "succeeded"]);
      assert.equal((await product.task(later.id)).status, "scheduled");

      // And it is no still picture: what is new comes in.
      const fresh = await product.submit("noop", {});
      await list.getByRole("button", { name: "1 new" }).click();
      await statusIs(list.locator(`li[data-task="${fresh.id}"]`), "completed");
      visitor.complaints.length = 0;
    },
  );

  scenario(
    "a server that is stopped with care tells the page, which comes back in a moment",
    async ({ product, visit }) => {
      const visitor = await visit();
      await visitor.signIn(product);
      await visitor.connection("live");
      await product.server.stop();
      await until("the page notices", async () => (await connection(visitor.page)) !== "live");
      await product.start();
      await visitor.connection("live", 40 * SECOND);
      visitor.complaints.length = 0;
    },
  );
});

const connection = (page) => page.locator("[data-slot=connection]").getAttribute("data-connection");
const live = (page, withinMs = 15 * SECOND) =>
  until("the page is live", async () => (await connection(page)) === "live", withinMs);
