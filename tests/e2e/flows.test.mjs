// Tasks that wait for others, on their pages: a graph that fills, a bar that counts, what stops and goes on again.
import assert from "node:assert/strict";
import { PHONE, statusIs } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";

const noop = (payload = {}, options = {}) => ({ kind: "noop", payload, ...options });
/** As long as people's names for things get. */
const FIRST = "a report with a rather long name for the whole of the quarter";
/** Ends when it is stopped, long after any test. */
const LONG = noop({ sleep_ms: 600_000, progress_steps: 600 });

suite("flows", {}, ({ scenario }) => {
  const submit = (product, tasks) => product.api("/api/v1/flows", { body: { tasks } });
  const flow = (product, id) => product.api(`/api/v1/flows/${id}`);
  const idOf = (flow, name) => flow.tasks.find((node) => node.name === name).id;
  const bar = (page) => page.getByRole("progressbar", { name: "Tasks that have ended" });
  const barSays = (page, text) => page.locator(`[role=progressbar][aria-valuetext="${text}"]`).waitFor();

  scenario("the graph of a flow fills while it runs, step by step", async ({ product, visit }) => {
    await product.kind("noop");
    const made = await submit(product, [
      { name: "fetch", task: noop({ sleep_ms: 1_500 }) },
      { name: "left", after: ["fetch"], task: noop({ sleep_ms: 300 }) },
      { name: "right", after: ["fetch"], task: noop({ sleep_ms: 600 }) },
      { name: "report", after: ["left", { task: "right", on_failure: "continue" }], task: noop() },
    ]);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${made.task.id}` });
    const graph = page.getByRole("region", { name: "Graph" });
    await graph.waitFor();
    await page.getByRole("heading", { name: "Group of tasks" }).waitFor();
    assert.equal(await bar(page).getAttribute("aria-valuemax"), "4");
    const steps = graph.getByRole("listitem").filter({ has: page.getByRole("list") });
    const names = await steps.evaluateAll((columns) =>
      columns.map((column) => [...column.querySelectorAll("[data-node]")].map((node) => node.dataset.node)),
    );
    assert.deepEqual(
      names.map((column) => column.toSorted()),
      [["fetch"], ["left", "right"], ["report"]],
    );
    await barSays(page, "4 of 4 completed");
    await statusIs(page.locator("article"), "completed");
    for (const name of ["fetch", "left", "right", "report"]) {
      await statusIs(graph.locator(`[data-node=${name}]`), "completed");
    }
    const attempts = await Promise.all(made.tasks.map(({ id }) => product.attempts(id)));
    assert.deepEqual(
      attempts.map((of) => of.length),
      [1, 1, 1, 1],
    );
  });

  scenario("a task that waits says for whom, and leads there", async ({ product, visit }) => {
    await product.kind("noop");
    const made = await submit(product, [
      { name: FIRST, task: LONG },
      { name: "second", after: [FIRST], task: noop() },
    ]);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${idOf(made, "second")}` });
    await statusIs(page.locator("article"), "waiting");
    await page.setViewportSize(PHONE);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.equal(beyond, 0, "a long name runs out of a phone's page");
    await page.getByText("It waits for other tasks to end.").waitFor();
    const waits = page.getByRole("region", { name: "Waits for" });
    await statusIs(waits, "running");
    await waits.getByRole("link", { name: FIRST }).click();
    await page.waitForURL(`${product.url}/tasks/${idOf(made, FIRST)}`);
    await page.getByRole("region", { name: "Leads to" }).getByRole("link", { name: "second" }).waitFor();
    await product.api(`/api/v1/flows/${made.task.id}/cancel`, { body: {} });
    await statusIs(page.locator("article"), "cancelled");
  });

  scenario("a flow that is stopped stops all of its tasks, and goes on when it is tried again", async (world) => {
    const { product, visit } = world;
    await product.kind("noop");
    const made = await submit(product, [
      { name: "first", task: noop({ sleep_ms: 4_000 }) },
      { name: "second", after: ["first"], task: noop() },
    ]);
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${made.task.id}` });
    await statusIs(page.getByRole("region", { name: "Graph" }).locator("[data-node=first]"), "running");
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await statusIs(page.locator("article"), "cancelled");
    await barSays(page, "0 of 2 completed, 2 cancelled");
    await page.getByRole("button", { name: "Try again", exact: true }).click();
    await barSays(page, "2 of 2 completed");
    await statusIs(page.locator("article"), "completed");
    assert.equal((await flow(product, made.task.id)).roll_up.completed, 2);
  });

  scenario("a batch that is filled in parts counts as it goes, and what follows it runs once", async (world) => {
    const { product, visit } = world;
    await product.kind("noop");
    // biome-ignore lint/suspicious/noThenProperty: a word of the API
    const batch = await product.api("/api/v1/batches", { body: { then: noop({ sleep_ms: 1 }) } });
    const id = batch.task.id;
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: `/tasks/${id}` });
    await statusIs(page.locator("article"), "waiting");
    for (let part = 0; part < 3; part += 1) {
      const tasks = Array.from({ length: 40 }, () => ({ task: noop() }));
      await product.api(`/api/v1/batches/${id}/tasks`, { body: { tasks } });
    }
    await barSays(page, "120 of 120 completed, open for more");
    await product.api(`/api/v1/batches/${id}/seal`, { body: {} });
    await barSays(page, "120 of 120 completed");
    await statusIs(page.locator("article"), "completed");
    assert.equal((await product.attempts(id)).length, 1);
  });
});
