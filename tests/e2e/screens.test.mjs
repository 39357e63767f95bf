// Every screen as people get to see it: on a phone and a desk, light and dark, for eyes and for ears.
import assert from "node:assert/strict";
import { DESKTOP, grave, PHONE } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";
import { until } from "./lib/wait.mjs";

/** Compressed, for the list of tasks: React and Next.js are 125 kB of it. */
const SCRIPTS_BYTES_MAX = 250_000;

suite("screens", {}, ({ world, scenario }) => {
  const tasks = {};

  scenario("there is something to look at", async ({ product }) => {
    await product.kind("noop");
    const completed = await product.submit("noop", {}, { tags: ["nightly", "import"] });
    const failed = await product.submit("noop", { fail_rate: 1 }, { attempts_max: 1 });
    const running = await product.submit("noop", { sleep_ms: 600_000, progress_steps: 400 });
    const scheduled = await product.submit("noop", {}, { delay_ms: 3_600_000 });
    await Promise.all([
      product.ended(completed.id),
      product.ended(failed.id),
      product.reached(running.id, ["running"]),
    ]);
    Object.assign(tasks, { completed, failed, running, scheduled });
  });

  const screens = () => [
    ["/tasks", (page) => page.locator("li[data-task]").first().waitFor()],
    ["/tasks?status=cancelled", (page) => page.getByText("Nothing was cancelled").waitFor()],
    [`/tasks/${tasks.running.id}`, (page) => page.getByRole("progressbar").waitFor()],
    [`/tasks/${tasks.completed.id}`, (page) => page.getByRole("tabpanel").getByText("slept_ms").waitFor()],
    [`/tasks/${tasks.completed.id}?tab=timeline`, (page) => page.getByText("Attempt 1").waitFor()],
    [`/tasks/${tasks.failed.id}`, (page) => page.getByRole("alert").first().waitFor()],
    [`/tasks/${tasks.failed.id}?tab=logs`, (page) => page.getByRole("log").waitFor()],
    [`/tasks/${tasks.scheduled.id}?tab=raw`, (page) => page.getByRole("tabpanel").waitFor()],
    ["/new", (page) => page.getByRole("link", { name: /images\.resize/ }).waitFor()],
    ["/new?kind=images.resize", (page) => page.getByRole("form").waitFor()],
    ["/new?kind=csv.profile", (page) => page.getByRole("form").waitFor()],
    ["/new?kind=http.request", (page) => page.getByRole("form").waitFor()],
    ["/queues", (page) => page.locator("li[data-queue]").first().waitFor()],
    ["/queues/noop", (page) => page.getByRole("heading", { name: "noop" }).waitFor()],
    ["/schedules", (page) => page.getByText("Nothing comes by itself yet").waitFor()],
    [`/tasks/${tasks.scheduled.id}`, (page) => page.getByText("Why is it not running?").waitFor()],
    ["/tasks/AAAAAAAAAAAAAAAA", (page) => page.getByRole("heading", { name: "There is no such task" }).waitFor()],
    [
      "/nothing/here",
      async (page) => {
        await page.getByRole("heading", { name: "There is nothing at this address" }).waitFor();
        // In the frame, so that there is a way on.
        await page.getByRole("link", { name: "Tasks", exact: true }).filter({ visible: true }).waitFor();
      },
    ],
  ];

  for (const [size, viewport] of Object.entries({ desk: DESKTOP, phone: PHONE })) {
    for (const colorScheme of ["light", "dark"]) {
      scenario(
        `${size}, ${colorScheme}: nothing grave for axe, nothing wider than the screen`,
        async ({ product, visit }) => {
          const visitor = await visit({ viewport, colorScheme, reducedMotion: "reduce", hasTouch: size === "phone" });
          const { page } = visitor;
          const faults = [];
          const look = async (name) => {
            // Colours in the middle of a fade are nobody's.
            await page.evaluate(() =>
              Promise.all(
                document
                  .getAnimations()
                  .filter((one) => one.effect?.getComputedTiming().endTime !== Infinity)
                  .map((one) => one.finished.catch(() => {})),
              ),
            );
            for (const fault of await grave(page)) faults.push(`${name}: ${fault}`);
            const over = await page.evaluate(
              () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
            );
            if (over > 0) faults.push(`${name}: ${over} px wider than the screen`);
          };
          await page.goto(`${product.url}/login`);
          await look("/login");
          await visitor.signIn(product);
          for (const [where, ready] of screens()) {
            await page.goto(`${product.url}${where}`);
            await ready(page);
            await look(where);
          }
          await page.goto(`${product.url}/tasks`);
          await page.locator("li[data-task]").first().waitFor();
          await visitor.connection("live");
          await page.keyboard.press("Control+k");
          await page.getByRole("option").first().waitFor();
          await look("palette");
          await page.keyboard.press("Escape");
          await page.getByRole("checkbox", { name: "Select all tasks in the list" }).click();
          await page.getByRole("toolbar").getByRole("button", { name: "Cancel" }).click();
          await page.getByRole("dialog").waitFor();
          await look("cancel dialog");
          await page.keyboard.press("Escape");
          await page.getByRole("button", { name: /account of/ }).click();
          await page.getByRole("menu").waitFor();
          await look("account menu");
          assert.deepEqual(faults, []);
        },
      );
    }
  }

  scenario("on a phone a task is run and watched with a thumb", async ({ product, visit }) => {
    const visitor = await visit({ viewport: PHONE, hasTouch: true, isMobile: true });
    const { page } = visitor;
    await visitor.signIn(product);
    await page.getByRole("link", { name: "Run a task" }).last().tap();
    // The list behind has links of that name as well.
    await page.waitForURL(/\/new$/);
    await page.getByRole("link", { name: /Do nothing/ }).tap();
    await page.getByLabel("Duration (ms)").fill("300");
    await page.getByRole("button", { name: "Run it" }).tap();
    await page.waitForURL(/\/tasks\/[\w-]{16}$/);
    await until(
      "it completes",
      async () =>
        (await page.locator("article [data-slot=status]").first().getAttribute("data-status")) === "completed",
    );
  });

  scenario("the look that was chosen is there from the first paint on", async ({ product, visit }) => {
    const visitor = await visit({ colorScheme: "light" });
    const { page } = visitor;
    await visitor.signIn(product);
    await page.getByRole("button", { name: /account of/ }).click();
    await page.getByRole("menuitemradio", { name: "Dark" }).click();
    const html = await (await visitor.context.request.get(`${product.url}/tasks`)).text();
    assert.match(html, /<html[^>]*data-theme="dark"/);
    assert.ok(world.product);
  });

  scenario(
    "a page is small enough: scripts for the first look stay below 250 kB compressed",
    async ({ product, visit }) => {
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product);
      const sizes = [];
      const measure = (response) => {
        if (!/\.js(\?|$)/.test(new URL(response.url()).pathname)) return;
        sizes.push(response.body().then((body) => ({ url: response.url(), bytes: compressed(body) })));
      };
      page.on("response", measure);
      await page.goto(`${product.url}/tasks`, { waitUntil: "load" });
      await visitor.connection("live");
      // What comes later is of a second look, and nobody would wait for it.
      page.off("response", measure);
      const all = await Promise.all(sizes);
      const total = all.reduce((sum, one) => sum + one.bytes, 0);
      console.log(`# scripts of the list, compressed: ${(total / 1000).toFixed(0)} kB in ${all.length} files`);
      assert.ok(total < SCRIPTS_BYTES_MAX, JSON.stringify(all));
    },
  );
});

import { gzipSync } from "node:zlib";

const compressed = (body) => gzipSync(body).length;
