// Ten photos through `images.resize`, from the drop to the downloaded picture.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { statusIs, watchProgress } from "./lib/browser.mjs";
import { drop } from "./lib/drop.mjs";
import { sizeOf } from "./lib/pictures.mjs";
import { suite } from "./lib/suite.mjs";
import { SECOND, until } from "./lib/wait.mjs";

/** From the Debian package mate-backgrounds. */
const FOLDER = "/usr/share/backgrounds/mate/nature";
const PHOTOS = "Aqua Blinds Dune FreshFlower Garden GreenMeadow LadyBird RainDrops Storm YellowFlower"
  .split(" ")
  .map((name) => path.join(FOLDER, `${name}.jpg`));
// Enough work that progress can be watched on a quick machine too.
const SIZES = [1600, 1280, 1024, 900, 800, 640, 480, 320];

suite("photos", {}, ({ scenario }) => {
  scenario(
    "ten dropped photos are resized while the page shows it, and can be looked at and downloaded",
    async ({ product, visit }) => {
      await product.kind("images.resize");
      const visitor = await visit();
      const { page } = visitor;
      await visitor.signIn(product, { next: "/new" });
      await page.getByRole("link", { name: /images\.resize/ }).click();
      await page.getByRole("form", { name: "Run images.resize" }).waitFor();

      await drop(page, page.locator("[data-slot=drop-zone]").first(), PHOTOS);
      await until("all ten are there, with their names", async () => {
        const rows = page.locator("[data-slot=file-field] li");
        return (await rows.count()) === PHOTOS.length;
      });
      const submit = page.getByRole("button", { name: "Run it" });
      await until("all ten are sent", () => submit.isEnabled(), 30 * SECOND);

      // The sizes by the other way in: the form shows them again as fields.
      await page.getByRole("button", { name: "Edit as JSON" }).click();
      const box = page.getByLabel("Payload as JSON");
      const payload = JSON.parse(await box.inputValue());
      const [field] = Object.entries(payload).find(
        ([, value]) => Array.isArray(value) && value.length === PHOTOS.length,
      );
      const [sizes] = Object.entries(payload).find(([, value]) => Array.isArray(value) && typeof value[0] === "number");
      payload[sizes] = SIZES;
      await box.fill(JSON.stringify(payload));
      await page.getByRole("button", { name: "Back to the form" }).click();
      assert.equal(await page.locator("[data-slot=file-field] li").count(), PHOTOS.length);
      const seen = await watchProgress(page);
      await submit.click();

      await page.waitForURL(/\/tasks\/[\w-]{16}$/);
      const id = page.url().split("/").at(-1);
      await statusIs(page, "completed", 90 * SECOND);
      const steps = await seen();
      console.log(`# progress as the page showed it: ${steps}`);
      assert.ok(new Set(steps).size >= 4, `progress as the page showed it: ${steps}`);
      assert.deepEqual(
        steps,
        steps.toSorted((a, b) => a - b),
        "progress went backwards",
      );

      const task = await product.task(id);
      assert.equal(task.payload[field].length, PHOTOS.length);
      const previews = page.getByRole("tabpanel").locator("figure img");
      await until(
        "every output has its preview",
        async () => (await previews.count()) === PHOTOS.length * SIZES.length,
      );
      for (const preview of await previews.all()) {
        await preview.scrollIntoViewIfNeeded();
        await until("the preview has loaded", () => preview.evaluate((img) => img.complete && img.naturalWidth > 0));
      }
      await page
        .getByRole("button", { name: /^Look at/ })
        .first()
        .click();
      const large = page.getByRole("dialog").locator("img");
      await until("the picture is shown large", () => large.evaluate((img) => img.complete && img.naturalWidth > 0));
      await page.keyboard.press("Escape");

      for (const nth of [0, 1, PHOTOS.length * SIZES.length - 1]) {
        const waiting = page.waitForEvent("download");
        await page
          .getByRole("link", { name: /^Download / })
          .nth(nth)
          .click();
        const download = await waiting;
        const bytes = readFileSync(await download.path());
        const { width, height } = sizeOf(bytes);
        assert.ok(SIZES.includes(Math.max(width, height)), `${download.suggestedFilename()} is ${width}×${height}`);
        assert.match(download.suggestedFilename(), new RegExp(`-${Math.max(width, height)}\\.jpe?g$`));
      }

      await page.getByRole("tab", { name: /Files/ }).click();
      await until(
        "the input's photos are shown too",
        async () =>
          (await page
            .getByRole("tabpanel")
            .getByTitle(/^Download/)
            .count()) >= PHOTOS.length,
      );
    },
  );

  scenario("a file that is no photo fails with a sentence that names it", async ({ product, visit }) => {
    await product.kind("images.resize");
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: "/new?kind=images.resize" });
    await page
      .locator("[data-slot=file-field] input[type=file]")
      .first()
      .setInputFiles({
        name: "holiday.jpg",
        mimeType: "image/jpeg",
        buffer: Buffer.from("these are no pixels"),
      });
    const submit = page.getByRole("button", { name: "Run it" });
    await until(
      "it is sent",
      async () => (await page.locator("[data-slot=file-field] li").count()) === 1 && (await submit.isEnabled()),
    );
    await submit.click();
    await page.waitForURL(/\/tasks\/[\w-]{16}$/);
    await statusIs(page, "failed", 30 * SECOND);
    assert.match(await page.getByRole("alert").filter({ hasText: "holiday" }).textContent(), /holiday\.jpg/);
  });

  scenario("what is missing is told at its field and nothing is sent", async ({ product, visit }) => {
    await product.kind("images.resize");
    const visitor = await visit();
    const { page } = visitor;
    await visitor.signIn(product, { next: "/new?kind=images.resize" });
    const before = (await product.api("/api/v1/tasks/counts")).all;
    await page.getByRole("button", { name: "Run it" }).click();
    await page.getByText("Some fields need another look.").waitFor();
    await page.locator("[data-slot=file-field]").getByText("This is needed.").waitFor();
    assert.equal((await product.api("/api/v1/tasks/counts")).all, before);
  });
});
