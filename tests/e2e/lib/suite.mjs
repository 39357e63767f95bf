// One test file = one installation and one browser. A failed scenario leaves pictures behind.
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { launch, picture, Visitor } from "./browser.mjs";
import { meaningless } from "./mode.mjs";
import { REPORT, ROOT } from "./places.mjs";
import { killSurvivors, survivors } from "./processes.mjs";
import { Product } from "./product.mjs";
import { until } from "./wait.mjs";

/**
 * @param {string} name of the file
 * @param {{ workers?: boolean, args?: string[], env?: Record<string, string>, accounts?: Record<string, string> }} options of `tasktonic up`
 * @param {(world: { product: Product, scenario: Function }) => void} define
 */
export function suite(name, options, define) {
  describe(name, { skip: meaningless(name) }, () => {
    const world = { product: undefined, browser: undefined };
    before(async () => {
      [world.product, world.browser] = await Promise.all([Product.up(name, options), launch()]);
    });
    after(async () => {
      await world.browser?.close();
      try {
        await world.product?.down();
        await until("every process of the installation has ended", () => survivors().length === 0, 10_000);
      } finally {
        killSurvivors();
      }
    });

    const scenario = (title, run) =>
      it(title, { timeout: 150_000 }, async () => {
        const visitors = [];
        const endings = [];
        const visit = async (context = {}) => {
          const visitor = await Visitor.enter(world.browser, context);
          visitors.push(visitor);
          return visitor;
        };
        try {
          await run({ product: world.product, visit, atEnd: (end) => endings.push(end) });
          const complaints = visitors.flatMap((visitor) => visitor.complaints);
          assert.deepEqual(complaints, [], "what the pages complained about in the console");
        } catch (error) {
          const pictures = await picture(visitors, name, title);
          error.message += `\npictures: ${pictures.join(", ") || "none"}; logs: ${path.relative(ROOT, REPORT)}/${name}/`;
          throw error;
        } finally {
          for (const end of endings) await end();
          for (const visitor of visitors) await visitor.context.close().catch(() => undefined);
        }
      });
    define({ world, scenario });
  });
}
