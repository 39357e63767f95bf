// Many tasks at once, dead letters, and everything of one user.
import assert from "node:assert/strict";
import { statusIs } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

const HOUR_MS = 3_600_000;
/** More than the list reads at once. */
const MANY = 63;

suite("bulk", {}, ({ scenario }) => {
  const operation = async (page, product) => {
    await page.waitForURL((url) => /^\/tasks\/[\w-]{16}$/.test(url.pathname));
    await page.getByRole("heading", { name: "Change many tasks" }).waitFor();
    await statusIs(page.locator("article"), "completed", 30 * SECOND);
    const id = new URL(page.url()).pathname.split("/").pop();
    return (await product.task(id)).output;
  };

  scenario(
    "all that match are cancelled and removed, also those that the list has not read",
    async ({ product, visit }) => {
      await product.kind("noop");
      const tag = "in-bulk";
      for (let n = 0; n < MANY; n += 1) await product.submit("noop", {}, { tags: [tag], delay_ms: HOUR_MS });
      const other = await product.submit("noop", {}, { delay_ms: HOUR_MS });
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: `/tasks?tag=${tag}` });
      const bar = page.getByRole("toolbar", { name: "Selected tasks" });
      const selectAll = async () => {
        await page.getByRole("checkbox", { name: "Select all tasks in the list" }).click();
        await bar.getByRole("button", { name: "Select all that match" }).click();
        await bar.getByText("All that match").waitFor();
      };
      await selectAll();
      await bar.getByRole("button", { name: "Cancel" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByText(`Cancel ${MANY} tasks?`).waitFor();
      await dialog.getByRole("button", { name: "Cancel them" }).click();
      assert.deepEqual(await operation(page, product), { changed: MANY, asked: 0, skipped: 0 });
      assert.equal((await product.task(other.id)).status, "scheduled");

      await page.goto(`${product.url}/tasks?tag=${tag}&status=cancelled`);
      await selectAll();
      assert.ok(await bar.getByRole("button", { name: "Cancel" }).isDisabled());
      await bar.getByRole("button", { name: "Remove" }).click();
      await dialog.getByRole("button", { name: "Remove them" }).click();
      assert.equal((await operation(page, product)).changed, MANY);
      await page.goto(`${product.url}/tasks?tag=${tag}`);
      await until("none is left", async () => (await page.locator("li[data-task]").count()) === 0);
    },
  );

  scenario(
    "a dead letter is corrected and completes, and the others are sent back together",
    async ({ product, visit }) => {
      await product.kind("noop");
      const failing = async () => {
        const task = await product.submit("noop", { fail_rate: 1 }, { attempts_max: 1 });
        await product.ended(task.id);
        return task;
      };
      const [first, second] = [await failing(), await failing()];
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: `/tasks/${first.id}` });
      await statusIs(page.locator("article"), "failed");
      await page.getByRole("button", { name: "More", exact: true }).click();
      await page.getByRole("menuitem", { name: "Correct and try again…" }).click();
      await page.waitForURL(`${product.url}/tasks/${first.id}/edit`);
      await page.getByLabel("Share of failures").fill("0");
      await page.getByRole("button", { name: "Try again" }).click();
      await page.waitForURL(`${product.url}/tasks/${first.id}`);
      await statusIs(page.locator("article"), "completed");
      assert.equal((await product.attempts(first.id))[0].outcome, "failed");

      await page.goto(`${product.url}/tasks?status=failed`);
      await page.getByRole("region", { name: "Dead letters" }).getByRole("button", { name: "Try all again" }).click();
      await page
        .getByRole("dialog")
        .getByRole("button", { name: /^Try (it|them) again$/ })
        .click();
      assert.ok((await operation(page, product)).changed >= 1);
      await until("it was tried again", async () => (await product.attempts(second.id)).length === 2);
    },
  );

  scenario("who types their name has everything erased, and stays signed in", async ({ product, visit }) => {
    await product.kind("noop");
    await product.submit("noop", {}, { delay_ms: HOUR_MS });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: "/tasks" });
    await page.locator("li[data-task]").first().waitFor();
    const me = await page.evaluate(async () => (await fetch("/api/v1/me")).json());
    await page.getByRole("button", { name: /account/i }).click();
    await page.getByRole("menuitem", { name: "Erase my data…" }).click();
    const dialog = page.getByRole("dialog", { name: "Erase all your data?" });
    assert.ok(await dialog.getByRole("button", { name: "Erase" }).isDisabled());
    await dialog.getByLabel(`Type ${me.user} to go on`).fill(me.user);
    await dialog.getByRole("button", { name: "Erase" }).click();
    await dialog.waitFor({ state: "detached", timeout: 30 * SECOND });
    await until("nothing is left", async () => (await page.locator("li[data-task]").count()) === 0);
    const counts = await page.evaluate(async () => (await fetch("/api/v1/tasks/counts")).json());
    assert.equal(counts.all, 0);
  });
});
