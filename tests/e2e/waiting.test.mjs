// What people may still change of a task that nobody has taken: its time, its place in line, its input.
import assert from "node:assert/strict";
import { statusIs } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

const HOUR_MS = 3_600_000;
/** No worker looks at this queue, so what is in it stays in line. */
const NOBODYS = "nobodys";

suite("waiting", {}, ({ scenario }) => {
  const menu = async (page, item) => {
    await page.getByRole("button", { name: "More", exact: true }).click();
    await page.getByRole("menuitem", { name: item }).click();
  };

  scenario("a task for later is given another time, and then is moved to now and runs", async ({ product, visit }) => {
    await product.kind("noop");
    const task = await product.submit("noop", { sleep_ms: 5 }, { delay_ms: HOUR_MS });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}` });
    await statusIs(page.locator("article"), "scheduled");

    await menu(page, "Start at another time…");
    const dialog = page.getByRole("dialog", { name: "Start at another time" });
    await dialog.getByLabel("After a while").check();
    await dialog.getByLabel("Start after").fill("3");
    await dialog.getByLabel("Unit").selectOption("h");
    await dialog.getByRole("button", { name: "Set the time" }).click();
    await page.getByText("This task starts in 3 h").waitFor();
    const { run_at } = await product.task(task.id);
    const away = Date.parse(run_at) - Date.now();
    assert.ok(away > 2.9 * HOUR_MS && away <= 3 * HOUR_MS, `it starts in ${away} ms`);
    assert.equal((await product.attempts(task.id)).length, 0);

    await menu(page, "Start at another time…");
    await dialog.getByRole("button", { name: "Start now" }).click();
    await statusIs(page.locator("article"), "completed");
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "More", exact: true }).click();
    await page.getByRole("menuitem", { name: "Copy the link" }).waitFor();
    assert.equal(await page.getByRole("menuitem", { name: /another time|line|Edit/ }).count(), 0);
  });

  scenario("the run sees what was edited before it", async ({ product, visit }) => {
    await product.kind("noop");
    const task = await product.submit("noop", { sleep_ms: 1 }, { delay_ms: HOUR_MS, tags: ["first"] });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}?tab=input` });
    await page.getByRole("tabpanel").getByText("sleep_ms").waitFor();
    await menu(page, "Edit…");
    await page.waitForURL(`${product.url}/tasks/${task.id}/edit`);
    const duration = page.getByLabel("Duration (ms)");
    assert.equal(await duration.inputValue(), "1");
    await duration.fill("37");
    await page.getByLabel("Tags").fill("second");
    await page.getByRole("button", { name: "Save" }).click();
    await page.waitForURL(`${product.url}/tasks/${task.id}`);
    await page.getByText("second", { exact: true }).waitFor();
    const saved = await product.task(task.id);
    assert.deepEqual([saved.status, saved.payload.sleep_ms, saved.tags], ["scheduled", 37, ["second"]]);
    assert.equal(saved.run_at, task.run_at);

    await menu(page, "Start at another time…");
    await page.getByRole("dialog").getByRole("button", { name: "Start now" }).click();
    await statusIs(page.locator("article"), "completed");
    assert.equal((await product.task(task.id)).output.slept_ms, 37);
  });

  scenario("a page that shows the input of a task shows an edit made elsewhere", async ({ product, visit }) => {
    const task = await product.submit("noop", { sleep_ms: 1 }, { delay_ms: HOUR_MS });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}?tab=input` });
    const input = page.getByRole("tabpanel");
    await input.getByText("sleep_ms").waitFor();
    await product.api(`/api/v1/tasks/${task.id}/edit`, { body: { payload: { sleep_ms: 4321 }, tags: ["elsewhere"] } });
    await input.getByText("4321").waitFor();
    await page.getByText("elsewhere", { exact: true }).waitFor();
  });

  scenario("of two edits at once one is told, and sees the other's", async ({ product, visit }) => {
    const task = await product.submit("noop", { sleep_ms: 1 }, { delay_ms: HOUR_MS });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}/edit` });
    const duration = page.getByLabel("Duration (ms)");
    await duration.fill("2");
    await product.api(`/api/v1/tasks/${task.id}/edit`, { body: { payload: { sleep_ms: 3 } } });
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("This task was changed while you edited it.").waitFor();
    assert.equal(await duration.inputValue(), "3");
    assert.equal((await product.task(task.id)).payload.sleep_ms, 3);
    await duration.fill("4");
    // A new place in line is no edit, and keeps nobody from saving.
    await product.api(`/api/v1/tasks/${task.id}/reschedule`, { body: { delay_ms: 2 * HOUR_MS } });
    await page.getByRole("button", { name: "Save" }).click();
    await page.waitForURL(`${product.url}/tasks/${task.id}`);
    assert.equal((await product.task(task.id)).payload.sleep_ms, 4);
  });

  scenario("an edit that comes too late says so and shows what became of the task", async ({ product, visit }) => {
    await product.kind("noop");
    const task = await product.submit("noop", { sleep_ms: 1 }, { delay_ms: HOUR_MS });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}/edit` });
    await page.getByLabel("Duration (ms)").fill("2");
    await product.api(`/api/v1/tasks/${task.id}/reschedule`, { body: { delay_ms: 0 } });
    await product.ended(task.id);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Not saved").waitFor();
    await page.waitForURL(`${product.url}/tasks/${task.id}`);
    await statusIs(page.locator("article"), "completed");
    assert.equal((await product.task(task.id)).output.slept_ms, 1);
    await page.goto(`${product.url}/tasks/${task.id}/edit`);
    await page.getByText("This task can be changed no more").waitFor();
  });

  scenario("a task is moved to either end of its line", async ({ product, visit }) => {
    const tasks = [];
    for (let n = 0; n < 3; n += 1) tasks.push(await product.submit("noop", { sleep_ms: n }, { queue: NOBODYS }));
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${tasks[1].id}` });
    await statusIs(page.locator("article"), "queued");
    await menu(page, "To the back of my line");
    await page.getByText("Last in your line").waitFor();
    const behind = await product.task(tasks[1].id);
    assert.ok(behind.rev > tasks[1].rev);
    await menu(page, "To the front of my line");
    await page.getByText("First in your line").waitFor();
    assert.ok((await product.task(tasks[1].id)).rev > behind.rev);
    await statusIs(page.locator("article"), "queued");
  });

  scenario("a task that nobody takes in time ends unstarted, and says why", async ({ product, visit }) => {
    const task = await product.submit("noop", {}, { queue: NOBODYS, expire_after_ms: 8_000 });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}` });
    await page.getByText(/It ends in .* if nobody has started it by then/).waitFor();
    await statusIs(page.locator("article"), "cancelled", 20 * SECOND);
    await page.getByText("Nobody took this task in time").waitFor();
    assert.equal((await product.task(task.id)).reason, "expired");
    assert.equal((await product.attempts(task.id)).length, 0);
  });

  scenario("Run a task says within what time it has to start", async ({ product, visit }) => {
    await product.kind("noop");
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: "/new?kind=noop" });
    await page.locator("summary", { hasText: "Options" }).click();
    await page.getByLabel("Start after").fill("30");
    await page.getByLabel("Only if started within").fill("20");
    await page.getByLabel("Unit of the time it may wait").selectOption("m");
    await page.getByRole("button", { name: "Run it" }).click();
    await page.getByText("This must be longer than the time it starts after.").waitFor();
    await page.getByLabel("Only if started within").fill("90");
    await page.getByRole("button", { name: "Run it" }).click();
    await page.waitForURL(/\/tasks\/[\w-]{16}$/);
    await page.getByText(/Ends .* if not started/).waitFor();
    const id = new URL(page.url()).pathname.split("/").at(-1);
    const { expires_at, created_at } = await product.task(id);
    assert.equal(Math.round((Date.parse(expires_at) - Date.parse(created_at)) / 60_000), 90);
  });

  scenario("Run again with edits attempts it as the earlier task was", async ({ product, visit }) => {
    await product.kind("noop");
    const policy = {
      attempts_max: 2,
      backoff: { form: "fixed", wait_ms: 50, jitter: 0 },
      rules: [{ code: "unheard_of", action: "again", backoff: { form: "fixed", wait_ms: 7, jitter: 0 } }],
    };
    const task = await product.submit("noop", { fail_rate: 1 }, { ...policy, tags: ["same"] });
    await product.ended(task.id);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/new?from=${task.id}` });
    await page.getByLabel("Share of failures").fill("0");
    await page.getByRole("button", { name: "Run it" }).click();
    await page.waitForURL((url) => /^\/tasks\/[\w-]{16}$/.test(url.pathname) && !url.pathname.endsWith(task.id));
    const again = await until("it is there", () => product.task(new URL(page.url()).pathname.split("/").at(-1)));
    const earlier = await product.task(task.id);
    assert.deepEqual(
      [again.attempts_max, again.policy, again.tags],
      [earlier.attempts_max, earlier.policy, earlier.tags],
    );
    assert.deepEqual(again.policy.rules, policy.rules);
  });
});
