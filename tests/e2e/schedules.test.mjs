// Tasks that the clock makes, from the page: made, watched, paused, run at once, changed, removed.
import assert from "node:assert/strict";
import { suite } from "./lib/suite.mjs";
import { until } from "./lib/wait.mjs";

suite("schedules", {}, ({ scenario }) => {
  scenario(
    "a schedule is made on its page, makes tasks, is paused, changed and removed",
    async ({ product, visit }) => {
      await product.kind("noop");
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: "/schedules" });
      await page.getByText("Nothing comes by itself yet").waitFor();

      await page.getByRole("link", { name: "Make your first schedule" }).click();
      await page.getByRole("link", { name: /noop/ }).first().click();
      await page.waitForURL(`${product.url}/schedules/new?kind=noop`);
      const next = page.getByRole("region", { name: "Next times" });
      await page.getByLabel("Time zone").selectOption("Europe/Berlin");
      await page.getByLabel("Expression").fill("0 9 * * 1-5");
      await next.getByText("at 09:00 on Monday to Friday, Europe/Berlin").waitFor();
      assert.equal(await next.getByRole("listitem").count(), 5);
      await page.getByLabel("Expression").fill("0 25 * * *");
      await next.getByText("hour: 25 is not 0 to 23").waitFor();
      await page.getByRole("button", { name: "Schedule it" }).click();
      await page.getByLabel("Expression").and(page.locator("[aria-invalid=true]")).waitFor();

      await page.getByLabel("Every so often").check();
      await page.getByLabel("Every", { exact: true }).fill("2");
      await page.getByLabel("Unit").selectOption("s");
      await next.getByText("every 2 seconds").waitFor();
      await page.getByLabel("Name", { exact: true }).fill("often");
      await page.getByRole("button", { name: "Schedule it" }).click();
      await page.waitForURL(`${product.url}/schedules`);
      const row = page.locator('[data-schedule="often"]');
      await row.getByText("Every 2 seconds").waitFor();

      // The list learns by itself that it came.
      const last = row.locator('a[href^="/tasks/"]');
      await last.waitFor();
      const on = row.getByRole("switch", { name: "often is on" });
      await on.click();
      await row.getByText("Paused", { exact: true }).waitFor();
      const href = await last.getAttribute("href");
      const task = await product.task(href.slice("/tasks/".length));
      assert.equal(task.schedule.name, "often");
      await page.goto(`${product.url}${href}`);
      await page.getByRole("link", { name: "often" }).waitFor();

      await page.getByRole("link", { name: "often" }).click();
      await page.waitForURL(`${product.url}/schedules/often`);
      await page.getByLabel("By the clock").check();
      await page.getByLabel("Usual times").selectOption("0 9 1 * *");
      await page.getByRole("button", { name: "Save" }).click();
      await page.waitForURL(`${product.url}/schedules`);
      await row.getByText(/^at 09:00 on day 1 of the month/i).waitFor();
      await row.getByText("Paused", { exact: true }).waitFor();
      await on.click();
      await until("it is active again", async () => (await on.getAttribute("aria-checked")) === "true", 10_000);

      await row.getByRole("button", { name: "Run often now" }).click();
      await page.getByText("Handed over").waitFor();
      await row.getByRole("button", { name: "Remove often" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Remove it" }).click();
      await page.getByText("Nothing comes by itself yet").waitFor();
    },
  );
});
