// A page of a task that stays open while parts of the product die, and what it must say in the end.
import assert from "node:assert/strict";
import { statusIs } from "./browser.mjs";
import { SECOND, until } from "./wait.mjs";

/** From the death of a part to a page that is live again. */
export const LIVE_AGAIN_MAX = 30 * SECOND;

/** A task under way, its page, and a note in that page that a reload would wipe out. */
export class OpenPage {
  static async of(product, visitor, payload = { sleep_ms: 12_000, progress_steps: 120 }) {
    const open = new OpenPage();
    open.product = product;
    open.page = visitor.page;
    open.visitor = visitor;
    await product.kind("noop");
    await visitor.signIn(product);
    // Not before: a slow machine is not to be through with it when the page is there.
    open.task = await product.submit("noop", payload);
    await open.page.goto(`${product.url}/tasks/${open.task.id}?tab=raw`);
    await visitor.connection("live");
    await statusIs(open.page.locator("article"), "running");
    await until("the page shows that it moves", async () => (await open.done()) > 0);
    await open.page.evaluate(() => {
      window.__neverReloaded = true;
      window.__lines = [];
      const look = () => {
        const now = document.querySelector("[data-slot=connection]")?.getAttribute("data-connection");
        if (now && window.__lines.at(-1)?.[0] !== now) window.__lines.push([now, performance.now()]);
      };
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
      look();
    });
    return open;
  }

  /** How far the page says it is; 0 before the first report. */
  async done() {
    const bar = this.page.locator("article [role=progressbar]").first();
    if ((await bar.count()) === 0) return 0;
    const text = await bar.getAttribute("aria-valuetext", { timeout: SECOND });
    return Number(/^([\d,]+) of/.exec(text ?? "")?.[1].replaceAll(",", "") ?? 0);
  }

  /** What the page said of its connection, `[state, when ms]`, since it was opened. */
  lines() {
    return this.page.evaluate(() => window.__lines);
  }

  /** How often the line was cut. */
  async cuts() {
    return (await this.lines()).filter(([state]) => state === "live").length - 1;
  }

  /** Waits until it has been cut once more and is live again; how long it was not, ms. */
  async liveAgain(cutsBefore, withinMs = LIVE_AGAIN_MAX) {
    await until("the page is live again", async () => (await this.cuts()) > cutsBefore, withinMs);
    const lines = await this.lines();
    const back = lines.findLastIndex(([state]) => state === "live");
    const left = lines.slice(0, back).findLastIndex(([state]) => state === "live") + 1;
    return Math.round(lines[back][1] - lines[left][1]);
  }

  /** The task ends well, and the page, never reloaded, shows word for word what the API says. */
  async endsExactly({ attempts, withinMs = 60 * SECOND } = {}) {
    const { product, page, task } = this;
    const ended = await product.ended(task.id, withinMs);
    assert.equal(ended.status, "completed", JSON.stringify(ended.error));
    await statusIs(page.locator("article"), "completed");
    await until("the open page is, word for word, what the API says", async () => {
      const shown = JSON.parse(await page.getByRole("tabpanel").locator("pre").textContent());
      assert.deepEqual(shown, await product.task(task.id));
      return true;
    });
    await this.visitor.connection("live", LIVE_AGAIN_MAX);
    assert.equal(await page.evaluate(() => window.__neverReloaded), true, "it was reloaded");
    const had = (await product.attempts(task.id)).map((attempt) => attempt.outcome);
    if (attempts) assert.deepEqual(had, attempts);
    this.visitor.complaints.length = 0;
    return { ended, attempts: had };
  }
}
