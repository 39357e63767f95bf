// More than 100 MB through `csv.profile`, by a worker of its own that may hold 256 MiB.
import assert from "node:assert/strict";
import { statusIs, watchProgress } from "./lib/browser.mjs";
import { memoryCap } from "./lib/memory-cap.mjs";
import { peakMemory } from "./lib/processes.mjs";
import { suite } from "./lib/suite.mjs";
import { BYTES_MIN, grownTable, rankError } from "./lib/table.mjs";
import { SECOND, until } from "./lib/wait.mjs";

const MEMORY_MAX = 256 * 1024 * 1024;
const QUANTILES = { p05: 0.05, p25: 0.25, median: 0.5, p75: 0.75, p95: 0.95 };

suite("large-table", { workers: false }, ({ scenario }) => {
  scenario(
    "a table of 100 MB is profiled in a worker's 256 MiB, and the numbers are right",
    async ({ product, visit }) => {
      const table = grownTable();
      assert.ok(table.bytes >= BYTES_MIN, `${table.bytes} bytes`);
      const cap = memoryCap("large-table", MEMORY_MAX);
      const worker = await product.work("profiler", { kinds: ["csv.profile"], wrap: cap?.wrap });

      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: "/new?kind=csv.profile" });
      await page.locator("[data-slot=file-field] input[type=file]").setInputFiles(table.file);
      await page.locator("[data-slot=file-field]").getByText(/% of/).first().waitFor();
      const submit = page.getByRole("button", { name: "Run it" });
      await until("the table is sent", () => submit.isEnabled(), 60 * SECOND);
      const seen = await watchProgress(page);
      // A quick machine is half through before the page is there: the worker waits for it.
      worker.signal("SIGSTOP");
      await submit.click();
      await page.waitForURL(/\/tasks\/[\w-]{16}$/);
      const id = page.url().split("/").at(-1);
      await page.locator("article [data-slot=status]").first().waitFor();
      worker.signal("SIGCONT");
      await statusIs(page.locator("article"), "completed", 110 * SECOND);
      const steps = await seen();
      console.log(`# progress as the page showed it: ${steps}`);
      assert.ok(new Set(steps).size >= 4, `progress as the page showed it: ${steps}`);

      const peak = peakMemory(worker.pid);
      assert.ok(peak < MEMORY_MAX, `the worker's memory peaked at ${mib(peak)}`);
      assert.equal(cap?.kills() ?? 0, 0, "the limit killed something");
      console.log(`# worker VmHWM ${mib(peak)}; control group ${cap ? mib(cap.peak() ?? 0) : "not available"}`);

      const task = await product.task(id);
      compare(task.output, table);
      assert.ok(worker.is(task.worker), task.worker);
      assert.equal(task.attempt, 1);

      // What the page says of it.
      await page.getByRole("tab", { name: "Output" }).click();
      const panel = page.getByRole("tabpanel");
      await panel.getByText(table.rows.toLocaleString("en"), { exact: true }).first().waitFor();
      await panel.getByRole("heading", { name: "reading", exact: true }).waitFor();
      await panel.getByRole("img", { name: /^Distribution of reading/ }).waitFor();
      await worker.stop();
      await cap?.close();
    },
  );
});

function compare(profile, table) {
  assert.equal(profile.rows, table.rows);
  assert.equal(profile.bytes, table.bytes);
  assert.deepEqual(
    profile.columns.map((column) => column.name),
    [...table.exact.keys()],
  );
  for (const column of profile.columns) {
    const exact = table.exact.get(column.name);
    const say = (what) => `${what} of ${column.name}`;
    assert.equal(column.nulls, exact.nulls, say("nulls"));
    const off = Math.abs(column.distinct - exact.distinct) / exact.distinct;
    assert.ok(off <= 0.02, `${say("distinct")}: ${column.distinct} for ${exact.distinct}`);
    if (!exact.numeric) {
      for (const { value, count } of column.top ?? []) {
        const slack = column.top_error_max ?? 0;
        const real = exact.values.get(value) ?? 0;
        assert.ok(
          count >= real && count <= real + slack,
          `${say(`count of ${value}`)}: ${count} for ${real} (± ${slack})`,
        );
      }
      continue;
    }
    assert.equal(column.min, exact.min, say("min"));
    assert.equal(column.max, exact.max, say("max"));
    const near = Math.abs(column.mean - exact.mean) / Math.max(1, Math.abs(exact.mean));
    assert.ok(near < 1e-9, `${say("mean")}: ${column.mean} for ${exact.mean}`);
    for (const [name, part] of Object.entries(QUANTILES)) {
      const error = rankError(exact.sorted, column[name], part);
      assert.ok(error <= 0.01, `${say(name)}: ${column[name]} is ${(100 * error).toFixed(2)} % of the rank away`);
    }
  }
}

const mib = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
