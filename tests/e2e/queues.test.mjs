// Queues as people and operators see them, and why a task that waits is not running.
import assert from "node:assert/strict";
import { DESKTOP, grave, PHONE, statusIs } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

const RUNS_MS = 1_500;

suite("queues", {}, ({ scenario }) => {
  const why = (page) => page.getByRole("region", { name: "Why is it not running?" });
  const operator = async (product, visit, where, context = {}) => {
    const token = await product.mint("olga", ["--role", "operator"]);
    const visitor = await visit(context);
    await visitor.bring(product, token);
    await visitor.page.goto(`${product.url}${where}`);
    await visitor.connection("live");
    return visitor;
  };
  /** Colours in the middle of a fade are nobody's, so it is looked again. */
  const graceful = (page) =>
    until("axe finds nothing grave", async () => {
      const faults = await grave(page);
      if (faults.length === 0) return true;
      throw new Error(faults.join("; "));
    });
  const answered = (product, id, reason) =>
    until(`why says ${reason}`, async () => {
      const answer = await product.api(`/api/v1/tasks/${id}/why`);
      if (answer.reason === reason) return answer;
      throw new Error(`it says ${answer.reason}`);
    });

  scenario(
    "one's own work is paused on the page of queues, a task says so with the cure, and runs once it is resumed",
    async ({ product, visit }) => {
      await product.kind("noop");
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: "/tasks" });
      await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Queues" }).first().click();
      await page.waitForURL(`${product.url}/queues`);
      const row = page.locator('[data-queue="noop"]');
      await row.getByText("Open", { exact: true }).waitFor();
      await page.getByRole("button", { name: "Pause my work" }).click();
      await page.getByText("You have paused all your work").waitFor();
      await row.getByText("You paused your work").waitFor();

      // The page hears of the task by the stream, and the task finds the pause in its way.
      const task = await product.submit("noop", { sleep_ms: RUNS_MS });
      await row.getByRole("link", { name: "1 waiting" }).click();
      await page.waitForURL(`${product.url}/tasks?queue=noop`);
      await page.getByText("You have paused all your work").waitFor();
      await page.locator(`li[data-task="${task.id}"]`).getByRole("link").first().click();
      await page.waitForURL(`${product.url}/tasks/${task.id}`);
      await statusIs(page.locator("article"), "queued");
      await why(page).getByText("You have paused all your work").waitFor();
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await graceful(page);
      }
      assert.equal((await answered(product, task.id, "user_paused")).users_waiting, undefined);
      assert.deepEqual(await product.attempts(task.id), []);

      await why(page).getByRole("button", { name: "Resume my work" }).click();
      await statusIs(page.locator("article"), "running");
      await statusIs(page.locator("article"), "completed");
      await why(page).waitFor({ state: "detached" });
      await page.getByRole("link", { name: "noop", exact: true }).click();
      await page.waitForURL(`${product.url}/queues/noop`);
      await page.getByText("Open", { exact: true }).waitFor();
    },
  );

  scenario(
    "an operator pauses a queue for everybody: the task of another says so by itself, and runs when it goes on",
    async ({ product, visit }) => {
      await product.kind("noop");
      const olga = await operator(product, visit, "/queues");
      const row = olga.page.locator('[data-queue="noop"]');
      const on = row.getByRole("switch", { name: "noop is on for everybody" });
      await on.click();
      await olga.page.getByRole("dialog").getByRole("button", { name: "Leave it open" }).click();
      assert.equal(await on.getAttribute("aria-checked"), "true");
      await on.click();
      await olga.page.getByRole("dialog").getByRole("button", { name: "Pause it" }).click();
      await row.getByText("Paused for everybody").waitFor();

      const visitor = await visit();
      const { page } = visitor;
      const task = await product.submit("noop", { sleep_ms: RUNS_MS });
      await visitor.signIn(product, { next: `/tasks/${task.id}` });
      await why(page).getByText("Its queue is paused").waitFor();
      await why(page).getByRole("link", { name: "Look at its queue" }).click();
      await page.waitForURL(`${product.url}/queues/noop`);
      await page.getByText("Paused for everybody").waitFor();
      assert.equal(await page.getByRole("switch").count(), 0, "a person is offered an operator's switch");
      await page.goBack();
      await why(page).getByText("Its queue is paused").waitFor();

      await olga.page.reload();
      await olga.connection("live");
      await row.getByText("1 person waits").waitFor();
      await on.click();
      await row.getByText("Open", { exact: true }).waitFor();
      await statusIs(page.locator("article"), "completed");
    },
  );

  scenario("what an operator does to a person reaches a page that only waits", async ({ product, visit }) => {
    await product.kind("noop");
    await product.api("/api/v1/me/pause", { body: { paused: true } });
    const task = await product.submit("noop", { sleep_ms: 1 });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}` });
    await why(page).getByText("You have paused all your work").waitFor();

    const olga = await operator(product, visit, "/queues");
    const people = olga.page.getByRole("region", { name: "People whose work is paused" });
    await people.locator(`[data-person="${product.user}"]`).getByText("by themselves").waitFor();
    await people.getByRole("button", { name: "Pause" }).click();
    await people.getByText("Say whose work is to be paused.").waitFor();
    await people.getByLabel("Pause all work of").fill(product.user);
    await people.getByRole("button", { name: "Pause", exact: true }).click();
    await people.getByText("by themselves and by an operator").waitFor();
    // Nobody's stream tells of it, so the page finds it at its next look.
    await why(page)
      .getByText("All your work is paused", { exact: true })
      .waitFor({ timeout: 20 * SECOND });

    await people.getByRole("button", { name: `Resume ${product.user}` }).click();
    await people.getByText("by themselves", { exact: true }).waitFor();
    await why(page)
      .getByRole("button", { name: "Resume my work" })
      .click({ timeout: 20 * SECOND });
    await statusIs(page.locator("article"), "completed");
  });

  for (const [size, viewport] of Object.entries({ desk: DESKTOP, phone: PHONE })) {
    scenario(`${size}: an operator sets limits of a queue and of a person in it`, async ({ product, visit }) => {
      await product.kind("noop");
      const olga = await operator(product, visit, "/queues/noop", { viewport });
      const { page } = olga;
      const limit = page.getByLabel("Tasks of one person that may wait");
      await limit.fill("many");
      await page.getByRole("button", { name: "Save" }).click();
      await page.getByText("A whole number from 0 to 10,000,000, or nothing.").waitFor();
      await limit.fill("1,500");
      await page.getByRole("button", { name: "Save" }).click();
      await until("it is set", async () =>
        (await product.api("/api/v1/me/queues")).queues.some(
          (one) => one.queue === "noop" && one.waiting_max === 1_500,
        ),
      );
      await page.getByRole("button", { name: "Add" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByLabel("Who").fill(product.user);
      await dialog.getByLabel("Turns").fill("0");
      await dialog.getByRole("button", { name: "Save" }).click();
      await dialog.getByText("A whole number from 1 to 1,000.").waitFor();
      await graceful(page);
      await dialog.getByLabel("Turns").fill("3");
      await dialog.getByLabel("Tasks that may wait").fill("7");
      await dialog.getByRole("button", { name: "Save" }).click();
      const person = page.locator(`[data-person="${product.user}"]`);
      await person.getByText("3 turns in each round, 7 may wait").waitFor();
      const mine = (await product.api("/api/v1/me/queues")).queues.find(({ queue }) => queue === "noop");
      assert.deepEqual([mine.weight, mine.waiting_max], [3, 7]);

      // What says that it is saved stays as long as the pointer is on it.
      await page.mouse.move(0, 0);
      await person.getByRole("button", { name: `Change what is set of ${product.user}` }).click();
      await dialog.getByRole("button", { name: "As everybody" }).click();
      await page.getByText("Nothing is set of anybody.").waitFor();
      await limit.fill("");
      await page.getByRole("button", { name: "Save" }).click();
      await until("the limit is gone", async () => {
        const { queues } = await product.api("/api/v1/me/queues");
        return queues.some((one) => one.queue === "noop" && one.waiting_max > 1_500);
      });
    });
  }

  scenario(
    "an operator lets one task of each person run at once: the second says so, then goes on",
    async ({ product, visit }) => {
      await product.kind("noop");
      const olga = await operator(product, visit, "/queues/noop");
      const limit = olga.page.getByLabel("Tasks of one person that run at once");
      const save = olga.page.getByRole("button", { name: "Save" });
      const own = async () => (await product.api("/api/v1/me/queues")).queues.find(({ queue }) => queue === "noop");
      await limit.fill("0");
      await save.click();
      await olga.page.getByText("A whole number from 1 to 100,000, or nothing.").waitFor();
      await limit.fill("1");
      await olga.page.getByLabel(/^Tasks that start$/).fill("600");
      await olga.page.getByLabel(/^After a rest/).fill("50");
      for (const colorScheme of ["light", "dark"]) {
        await olga.page.emulateMedia({ colorScheme });
        await graceful(olga.page);
      }
      await save.click();
      await until("it holds for everybody", async () => (await own()).running_max === 1);
      assert.deepEqual((await own()).rate, { tasks: 600, per_ms: 60_000, burst: 50 });

      const first = await product.submit("noop", { sleep_ms: 600_000 });
      await product.reached(first.id, ["running"]);
      const second = await product.submit("noop", { sleep_ms: 1 });
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: "/queues/noop" });
      await page.getByText("1 runs at once, 600 a minute (50 at once)").waitFor();
      await page.goto(`${product.url}/tasks/${second.id}`);
      await why(page).getByText("As many of your tasks run there as may at once").waitFor();
      assert.deepEqual(await product.attempts(second.id), []);
      await product.api(`/api/v1/tasks/${first.id}/cancel`, { body: {} });
      await statusIs(page.locator("article"), "completed");

      await limit.fill("");
      await olga.page.getByLabel(/^Tasks that start$/).fill("");
      await olga.page.getByLabel(/^After a rest/).fill("");
      await save.click();
      await until("both are taken back", async () => {
        const { running_max, rate } = await own();
        return running_max === undefined && rate === undefined;
      });
    },
  );

  scenario("an operator says how many of everybody's tasks start in which time", async ({ product, visit }) => {
    await product.kind("noop");
    const olga = await operator(product, visit, "/queues/noop", { viewport: PHONE });
    const together = olga.page.getByLabel("Tasks that start together");
    const burst = olga.page.getByLabel(/^Together after a rest/);
    const save = olga.page.getByRole("button", { name: "Save" });
    await together.fill("0");
    await save.click();
    await olga.page.getByText("A whole number from 1 to 1,000,000, or nothing.").waitFor();
    await together.fill("1");
    await burst.fill("1");
    for (const colorScheme of ["light", "dark"]) {
      await olga.page.emulateMedia({ colorScheme });
      await graceful(olga.page);
    }
    await save.click();
    await olga.page.getByText("It holds for everybody in noop from now on").waitFor();

    const first = await product.submit("noop", { sleep_ms: 1 });
    await product.reached(first.id, ["completed"]);
    const second = await product.submit("noop", { sleep_ms: 1 });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${second.id}` });
    await why(page).getByText("Only so many of everybody may start").waitFor();
    assert.deepEqual(await product.attempts(second.id), []);

    await together.fill("");
    await burst.fill("");
    await save.click();
    await statusIs(page.locator("article"), "completed");
  });

  scenario("an operator says that people share time, and everybody reads it", async ({ product, visit }) => {
    await product.kind("noop");
    const olga = await operator(product, visit, "/queues/noop", { viewport: PHONE });
    const share = olga.page.getByLabel("People share");
    const save = olga.page.getByRole("button", { name: "Save" });
    await share.selectOption("run_time");
    await olga.page.getByText("who has long tasks starts fewer of them").waitFor();
    for (const colorScheme of ["light", "dark"]) {
      await olga.page.emulateMedia({ colorScheme });
      await graceful(olga.page);
    }
    await save.click();
    await olga.page.getByText("It holds for everybody in noop from now on").waitFor();
    const task = await product.submit("noop", { sleep_ms: 1 });
    await product.reached(task.id, ["completed"]);
    const visitor = await visit();
    await visitor.signIn(product, { next: "/queues/noop" });
    await visitor.page.getByText("As much time as the others").waitFor();
    await share.selectOption("count");
    await save.click();
    await visitor.page.reload();
    await visitor.page.getByText("1 turn in each round").waitFor();
  });

  scenario(
    "a task behind another of its serial key leads there, and runs once that one ended",
    async ({ product, visit }) => {
      await product.kind("noop");
      const first = await product.submit("noop", { sleep_ms: 600_000 }, { serial_key: "account-7" });
      await product.reached(first.id, ["running"]);
      const second = await product.submit("noop", { sleep_ms: 1 }, { serial_key: "account-7" });
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: `/tasks/${second.id}` });
      await why(page).getByText("Another task of the same serial key goes first").waitFor();
      await why(page).getByRole("link", { name: "Look at that task" }).click();
      await page.waitForURL(`${product.url}/tasks/${first.id}`);
      await page.goBack();
      await why(page).getByText("Another task of the same serial key goes first").waitFor();
      await product.api(`/api/v1/tasks/${first.id}/cancel`, { body: {} });
      await statusIs(page.locator("article"), "completed");
    },
  );

  scenario("a queue that nobody works on says so, and a name that is none is no page", async ({ product, visit }) => {
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: "/queues/nobodys" });
    await page.getByRole("heading", { name: "nobodys" }).waitFor();
    await page.goto(`${product.url}/queues/no%20name`);
    await page.getByRole("heading", { name: "There is nothing at this address" }).waitFor();
  });
});
