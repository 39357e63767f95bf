// Coming in, being kept out, going away.
import assert from "node:assert/strict";
import { suite } from "./lib/suite.mjs";
import { until } from "./lib/wait.mjs";

suite("sign-in", { workers: false }, ({ scenario }) => {
  scenario("the printed login signs in, and the first look says what to do", async ({ product, visit }) => {
    const { page, ...visitor } = await visit();
    await page.goto(product.url);
    await page.waitForURL((url) => url.pathname === "/login");
    await page.getByLabel("Name").fill(product.user);
    await page.getByLabel("Password", { exact: true }).fill(product.password);
    await page.keyboard.press("Enter");
    await page.waitForURL(`${product.url}/tasks`);
    await page.getByRole("heading", { name: "Nothing has been asked for yet" }).waitFor();
    const cookies = await visitor.context.cookies();
    const tokens = cookies.filter((cookie) => /^tt_(at|rt)$/.test(cookie.name));
    assert.equal(tokens.length, 2, JSON.stringify(cookies.map((cookie) => cookie.name)));
    for (const cookie of tokens) assert.ok(cookie.httpOnly && cookie.sameSite === "Lax", cookie.name);
    assert.equal(await page.evaluate(() => document.cookie.includes("tt_at")), false);
  });

  scenario(
    "a wrong password is told, keeps the name, and does not keep the right one out",
    async ({ product, visit }) => {
      const { page } = await visit();
      await page.goto(`${product.url}/login`);
      await page.getByLabel("Name").fill(product.user);
      await page.getByLabel("Password", { exact: true }).fill("certainly not this one");
      await page.getByRole("button", { name: "Sign in" }).click();
      const told = await page
        .getByRole("alert")
        .filter({ hasText: /password/i })
        .first()
        .textContent();
      assert.match(told, /name or the password|password/i);
      assert.equal(new URL(page.url()).pathname, "/login");
      assert.equal(await page.getByLabel("Name").inputValue(), product.user);
      await page.getByLabel("Password", { exact: true }).fill(product.password);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.waitForURL(`${product.url}/tasks`);
    },
  );

  scenario("a page asked for before the sign-in opens after it, with its filter", async ({ product, visit }) => {
    const { page } = await visit();
    await page.goto(`${product.url}/tasks?status=failed&tag=import`);
    await page.waitForURL((url) => url.pathname === "/login");
    assert.equal(new URL(page.url()).searchParams.get("next"), "/tasks?status=failed&tag=import");
    await page.getByLabel("Name").fill(product.user);
    await page.getByLabel("Password", { exact: true }).fill(product.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${product.url}/tasks?status=failed&tag=import`);
  });

  for (const foreign of ["https://evil.example/", "//evil.example/x", "/\\evil.example", "javascript:alert(1)"]) {
    scenario(`next=${foreign} leads home and nowhere else`, async ({ product, visit }) => {
      const visitor = await visit();
      const asked = [];
      visitor.page.on("request", (request) => asked.push(request.url()));
      await visitor.signIn(product, { next: foreign });
      assert.equal(visitor.page.url(), `${product.url}/tasks`);
      assert.deepEqual(
        asked.filter((url) => !url.startsWith(product.url) && !url.startsWith("data:")),
        [],
      );
      const answer = await product.ask(`/api/v1/auth/refresh?next=${encodeURIComponent(foreign)}`, { token: null });
      const location = answer.headers.get("location") ?? "";
      assert.equal(new URL(location, product.url).origin, product.url, location);
    });
  }

  scenario("signing out ends the session here and at the API", async ({ product, visit }) => {
    const visitor = await visit();
    await visitor.signIn(product);
    const before = await visitor.context.cookies();
    const refresh = before.find((cookie) => cookie.name === "tt_rt").value;
    await visitor.page.getByRole("button", { name: /account of/ }).click();
    await visitor.page.getByRole("menuitem", { name: "Sign out" }).click();
    await visitor.page.waitForURL(`${product.url}/login`);
    const left = (await visitor.context.cookies()).filter((cookie) => /tt_(at|rt)$/.test(cookie.name));
    assert.deepEqual(left, []);
    const again = await product.ask("/api/v1/auth/refresh", {
      token: null,
      method: "POST",
      body: { refresh_token: refresh },
    });
    assert.equal(again.status, 401);
    await visitor.page.goto(`${product.url}/tasks`);
    await visitor.page.waitForURL((url) => url.pathname === "/login");
  });

  scenario("a page left open goes on with a new token when the old one is lost", async ({ product, visit }) => {
    const visitor = await visit();
    await visitor.signIn(product);
    await visitor.connection("live");
    await visitor.context.clearCookies({ name: "tt_at" });
    await visitor.page.reload();
    await until("the page is there again, signed in", () =>
      visitor.page.getByRole("heading", { name: "My tasks" }).isVisible(),
    );
    const names = (await visitor.context.cookies()).map((cookie) => cookie.name);
    assert.ok(names.includes("tt_at"), names.join());
  });
});
