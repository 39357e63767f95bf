// What people do to tasks, by button and by key, and how they find them.
import assert from "node:assert/strict";
import { statusIs } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

const FAILING = [{ fail_rate: 1 }, { attempts_max: 1 }];

suite("verbs", {}, ({ scenario }) => {
  scenario("a running task is cancelled, and tried again until it completes", async ({ product, visit }) => {
    await product.kind("noop");
    const task = await product.submit("noop", { sleep_ms: 5_000, progress_steps: 50 });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}` });
    await statusIs(page.locator("article"), "running");
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await statusIs(page.locator("article"), "cancelled");
    assert.equal((await product.attempts(task.id))[0].outcome, "cancelled");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("Back in line").waitFor();
    await statusIs(page.locator("article"), "completed", 20 * SECOND);
    await page.getByRole("tab", { name: "Output" }).click();
    await page.getByRole("tabpanel").getByText("slept_ms").waitFor();
  });

  scenario("what has not started is cancelled at once, and Undo takes that back", async ({ product, visit }) => {
    const task = await product.submit("noop", {}, { delay_ms: 3_600_000 });
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}` });
    await statusIs(page.locator("article"), "scheduled");
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await statusIs(page.locator("article"), "cancelled");
    await page.getByRole("button", { name: "Undo" }).click();
    await statusIs(page.locator("article"), "completed");
  });

  scenario("a failed task says why, is tried again, and is run again with edits", async ({ product, visit }) => {
    await product.kind("noop");
    const task = await product.submit("noop", ...FAILING);
    await product.ended(task.id);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}` });
    await page.getByRole("alert").filter({ hasText: "This attempt failed because you asked for failures." }).waitFor();
    await page.getByRole("button", { name: "Try again" }).click();
    await until("it was tried again", async () => (await product.attempts(task.id)).length === 2);
    await statusIs(page.locator("article"), "failed");

    await page.getByRole("button", { name: "Run again with edits" }).click();
    await page.waitForURL(`${product.url}/new?from=${task.id}`);
    const share = page.getByLabel("Share of failures");
    assert.equal(await share.inputValue(), "1");
    await share.fill("0");
    await page.getByRole("button", { name: "Run it" }).click();
    await page.waitForURL((url) => /^\/tasks\/[\w-]{16}$/.test(url.pathname) && !url.pathname.endsWith(task.id));
    await statusIs(page.locator("article"), "completed");
  });

  scenario("a form's Server Action answers with the task that GET shows by its id", async (world) => {
    const { product, visit, atEnd } = world;
    await product.kind("noop");
    // Nothing starts meanwhile, so the task stays as it was accepted.
    const pause = (paused) => product.api("/api/v1/me/pause", { body: { paused } });
    atEnd(() => pause(false));
    await pause(true);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: "/new?kind=noop" });
    await page.getByLabel("Duration (ms)").fill("100");
    // Read on its way: once the page has moved on, the browser no longer has it.
    const answers = [];
    await page.route("**/new?*", async (route) => {
      if (!("next-action" in route.request().headers())) return route.continue();
      const response = await route.fetch();
      answers.push(await response.text());
      return route.fulfill({ response });
    });
    await page.getByRole("button", { name: "Run it" }).click();
    await page.waitForURL(/\/tasks\/[\w-]{16}$/);
    assert.equal(answers.length, 1);
    const { ok, value: task } = returned(answers[0]);
    assert.ok(ok && task.rev > 0, JSON.stringify(task));
    assert.match(task.durability, /^(disk|fast|replicated)$/);
    assert.equal(task.status, "queued");
    assert.equal(page.url(), `${product.url}/tasks/${task.id}`);
    assert.deepEqual(await product.task(task.id), task);
    await statusIs(page.locator("article"), "queued");
    await pause(false);
    await statusIs(page.locator("article"), "completed");
  });

  scenario("a value the kind refuses is told at its field, by the page or by the API", async ({ product, visit }) => {
    await product.kind("noop");
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: "/new?kind=noop" });
    const share = page.getByLabel("Share of failures");
    await share.fill("lots");
    await page.getByRole("button", { name: "Run it" }).click();
    await page.getByText("This is no number.").waitFor();
    await share.fill("7");
    await page.getByRole("button", { name: "Run it" }).click();
    await until(
      "the API's answer stands at the field",
      async () => (await share.getAttribute("aria-invalid")) === "true",
    );
    const [described] = (await share.getAttribute("aria-describedby")).split(" ").slice(-1);
    assert.match(await page.locator(`[id="${described}"]`).textContent(), /1/);
    assert.equal(new URL(page.url()).pathname, "/new");
  });

  scenario("many at once: cancelled after a question, tried again without one", async ({ product, visit }) => {
    await product.kind("noop");
    const tag = "in-bulk";
    const tasks = [];
    for (let n = 0; n < 5; n += 1)
      tasks.push(await product.submit("noop", { sleep_ms: 1 }, { tags: [tag], delay_ms: 3_600_000 }));
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks?tag=${tag}` });
    const rows = page.locator("li[data-task]");
    await until("all five are there", async () => (await rows.count()) === 5);
    await page.getByRole("checkbox", { name: "Select all tasks in the list" }).click();
    const bar = page.getByRole("toolbar", { name: "Selected tasks" });
    await bar.getByText("5 selected").waitFor();
    await bar.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Keep them" }).click();
    assert.equal((await product.task(tasks[0].id)).status, "scheduled");
    await bar.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel them" }).click();
    for (const task of tasks) await statusIs(page.locator(`li[data-task="${task.id}"]`), "cancelled");

    await page.getByRole("checkbox", { name: new RegExp(`Select noop ${tasks[0].id}`) }).click();
    await page
      .getByRole("checkbox", { name: new RegExp(`Select noop ${tasks[3].id}`) })
      .click({ modifiers: ["Shift"] });
    await bar.getByText("4 selected").waitFor();
    await bar.getByRole("button", { name: "Try again" }).click();
    await page.getByText("4 tasks back in line").waitFor();
    for (const task of tasks.slice(0, 4)) await statusIs(page.locator(`li[data-task="${task.id}"]`), "completed");
    assert.equal((await product.task(tasks[4].id)).status, "cancelled");
  });

  scenario("filters stand in the URL: typed, shared, taken back", async ({ product, visit }) => {
    await product.kind("noop");
    const good = await product.submit("noop", {}, { tags: ["find-me"] });
    const bad = await product.submit("noop", { fail_rate: 1 }, { attempts_max: 1, tags: ["find-me"] });
    await Promise.all([product.ended(good.id), product.ended(bad.id)]);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product);
    const shown = () => page.locator("li[data-task]").evaluateAll((rows) => rows.map((row) => row.dataset.task));
    const shows = (ids) =>
      until(`the list shows ${ids.length}`, async () => {
        assert.deepEqual(await shown(), ids);
        return true;
      });

    await page.getByLabel("Tag", { exact: true }).fill("find-me");
    await page.waitForURL(/tag=find-me/);
    await shows([bad.id, good.id]);
    await page
      .getByRole("navigation", { name: "Status" })
      .getByRole("link", { name: /^Failed/ })
      .click();
    await page.waitForURL(/status=failed/);
    await shows([bad.id]);
    assert.match(page.url(), /tag=find-me/);
    await page.reload();
    await shows([bad.id]);
    assert.equal(await page.getByLabel("Tag", { exact: true }).inputValue(), "find-me");
    await page.goBack();
    await shows([bad.id, good.id]);
    await page.getByLabel("Search tasks by id, kind, tag or error").fill(good.id.slice(0, 10));
    await page.waitForURL(/q=/);
    await until(
      "only what begins so is left",
      async () =>
        (await shown()).every((id) => id.startsWith(good.id.slice(0, 10))) && (await shown()).includes(good.id),
    );
    const search = page.getByLabel("Search tasks by id, kind, tag or error");
    await search.fill("FIND noop");
    await page.waitForURL(/q=FIND/);
    await shows([bad.id, good.id]);
    const code = (await product.task(bad.id)).error.code;
    await search.fill(`find ${code}`);
    await shows([bad.id]);
    await page.reload();
    await shows([bad.id]);
    assert.equal(await search.inputValue(), `find ${code}`);
    await search.fill("ind");
    await page.getByText("No task matches").waitFor();
    await page.getByRole("button", { name: "Clear", exact: true }).click();
    await until("nothing narrows the list", () => !new URL(page.url()).search.includes("tag="));
    await page.getByLabel("Kind", { exact: true }).selectOption("noop");
    await page.waitForURL(/kind=noop/);
    await page.getByLabel("Tag", { exact: true }).fill("nobody-has-this");
    await page.getByText("No task matches").waitFor();
    await page.getByRole("button", { name: "Clear the filter" }).click();
    await page.waitForURL((url) => url.search === "");
  });

  scenario(
    "new tasks wait behind a pill, and rows that move on stay until one looks away",
    async ({ product, visit }) => {
      const visitor = await visit();
      const { page } = visitor;
      const first = await product.submit("noop", {}, { tags: ["steady"] });
      await product.ended(first.id);
      await visitor.signIn(product, { next: "/tasks?tag=steady" });
      await page.locator(`li[data-task="${first.id}"]`).waitFor();
      await visitor.connection("live");
      const second = await product.submit("noop", {}, { tags: ["steady"] });
      await page.getByRole("button", { name: "1 new" }).waitFor();
      assert.equal(await page.locator("li[data-task]").count(), 1);
      await page.getByRole("button", { name: "1 new" }).click();
      await page.locator(`li[data-task="${second.id}"]`).waitFor();
    },
  );

  scenario("by keys alone: palette, list, selection, task", async ({ product, visit }) => {
    await product.kind("noop");
    const failing = await product.submit("noop", ...FAILING);
    await product.ended(failing.id);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product);
    await page.locator(`li[data-task="${failing.id}"]`).waitFor();

    // Keys are heard once the page has come alive.
    await visitor.connection("live");
    const focused = () => page.evaluate(() => document.activeElement.closest("[data-task]")?.dataset.task);
    await until("a key is heard", async () => {
      if (!(await focused())) await page.keyboard.press("j");
      return (await focused()) !== undefined;
    });
    assert.equal(await focused(), failing.id);
    await page.keyboard.press("x");
    await page.getByRole("toolbar", { name: "Selected tasks" }).getByText("1 selected").waitFor();
    await page.keyboard.press("x");
    await page.keyboard.press("r");
    await until("it was tried again", async () => (await product.attempts(failing.id)).length === 2);
    await page.keyboard.press("/");
    assert.equal(await page.evaluate(() => document.activeElement.id), "task-search");
    await page.keyboard.press("Escape");
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");

    await page.keyboard.press("Control+k");
    await page.getByRole("dialog", { name: "Go to" }).waitFor();
    await page.keyboard.type(failing.id);
    await page
      .getByRole("option", { name: new RegExp(failing.id) })
      .first()
      .waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(`${product.url}/tasks/${failing.id}`);
    await statusIs(page.locator("article"), "failed");
    await page.keyboard.press("e");
    await page.waitForURL(`${product.url}/new?from=${failing.id}`);
    await page.getByLabel("Share of failures").fill("0");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => /^\/tasks\/[\w-]{16}$/.test(url.pathname) && !url.pathname.endsWith(failing.id));
    await statusIs(page.locator("article"), "completed");
    await page.keyboard.press("g");
    await page.waitForURL(`${product.url}/tasks`);
    await page.keyboard.press("Control+k");
    await page.keyboard.type("do nothing");
    await page.getByRole("option", { name: /Do nothing/ }).waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(`${product.url}/new?kind=noop`);
  });

  scenario("a log comes in line by line, is searched, and has a link to every line", async ({ product, visit }) => {
    await product.kind("csv.profile");
    const file = await product.ask("/api/v1/files?name=small.csv", {
      method: "POST",
      body: Buffer.from("a,b\n1,x\n2,y\n"),
      headers: { "content-type": "text/csv" },
    });
    const { id: fileId } = await file.json();
    const task = await product.submit("csv.profile", { file: fileId });
    await product.ended(task.id);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${task.id}?tab=logs` });
    const log = page.getByRole("log");
    await log
      .getByText(/2 rows/)
      .first()
      .waitFor();
    await page.getByLabel("Search the log").fill("no line says this");
    await log.getByText("No line has that in it.").waitFor();
    await page.getByLabel("Search the log").fill("");
    await log.getByRole("link", { name: "Line 1", exact: true }).click();
    await page.waitForURL(/#L1$/);
  });
});

/** What a Server Action returned: one row of the text in which React sends values. */
function returned(text) {
  const row = text.split("\n").find((line) => /^[0-9a-f]+:\{"ok":/.test(line));
  assert.ok(row, text);
  return JSON.parse(row.slice(row.indexOf(":") + 1));
}
