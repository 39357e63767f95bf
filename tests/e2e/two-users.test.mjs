// Two people, two browsers: nothing of the one reaches the other, by any way in.
import assert from "node:assert/strict";
import { statusIs } from "./lib/browser.mjs";
import { suite } from "./lib/suite.mjs";
import { until } from "./lib/wait.mjs";

const ACCOUNT = { user: "second", password: "a password of the second user" };

suite("two-users", { accounts: { [ACCOUNT.user]: ACCOUNT.password } }, ({ scenario }) => {
  scenario(
    "neither sees anything of the other: lists, tasks by id, files, socket frames",
    async ({ product, visit }) => {
      await product.kind("noop");
      const people = [];
      for (const [who, name] of ["demo-side", "second-side"].entries()) {
        const visitor = await visit();
        const account = who === 0 ? product : ACCOUNT;
        await visitor.signIn(product, { user: account.user, password: account.password });
        const { access_token: token } = await product.api("/api/v1/auth/token", {
          token: null,
          body: { username: account.user, password: account.password },
        });
        await visitor.page.goto(`${product.url}/tasks`);
        await visitor.connection("live");
        people.push({ visitor, token, name, secret: `only-of-${name}` });
      }
      const [one, two] = people;
      const users = await Promise.all(people.map(({ token }) => product.api("/api/v1/me", { token })));
      assert.notEqual(users[0].user, users[1].user);

      for (const person of people) {
        const { token, secret } = person;
        const file = await product.ask(`/api/v1/files?name=${secret}.txt`, {
          token,
          method: "POST",
          body: Buffer.from(secret),
          headers: { "content-type": "text/plain" },
        });
        assert.equal(file.status, 201);
        person.file = (await file.json()).id;
        person.task = await product.api("/api/v1/tasks", {
          token,
          body: { kind: "noop", payload: { sleep_ms: 4_000, progress_steps: 40 }, tags: [secret] },
        });
      }
      for (const { visitor, task } of people) {
        await until(
          "one's own task is in the list",
          async () => (await visitor.page.locator("li[data-task]").count()) === 1,
        );
        assert.equal(await visitor.page.locator("li[data-task]").getAttribute("data-task"), task.id);
      }

      // A socket that asks for the other's task and its log by id, beside the page's own.
      for (const [self, other] of [
        [one, two],
        [two, one],
      ]) {
        await self.visitor.page.evaluate((id) => {
          const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws`, ["tt.v1"]);
          window.__curious = [];
          socket.onopen = () =>
            socket.send(
              JSON.stringify({
                t: "hello",
                v: 1,
                cursor: null,
                watch: { recent: 200, tasks: [id], logs: { [id]: 0 } },
              }),
            );
          socket.onmessage = (event) => window.__curious.push(event.data);
        }, other.task.id);
      }
      for (const { visitor, task } of people)
        await statusIs(visitor.page.locator(`li[data-task="${task.id}"]`), "completed");

      for (const [self, other] of [
        [one, two],
        [two, one],
      ]) {
        const { visitor, token } = self;
        const { page } = visitor;
        const curious = await page.evaluate(() => window.__curious);
        assert.ok(curious.length > 0, "the curious socket got no answer");
        const foreign = [other.task.id, other.secret, other.file];
        for (const text of [...visitor.frames, ...curious]) {
          for (const word of foreign)
            assert.ok(!text.includes(word), `a frame of ${self.name} has ${word}: ${text.slice(0, 300)}`);
        }
        assert.ok(
          visitor.frames.some((text) => text.includes(self.task.id)),
          "its own frames came",
        );

        for (const where of [
          `/api/v1/tasks/${other.task.id}`,
          `/api/v1/tasks/${other.task.id}/attempts`,
          `/api/v1/tasks/${other.task.id}/logs`,
          `/api/v1/tasks/${other.task.id}/wait?timeout_ms=10`,
          `/api/v1/files/${other.file}`,
        ]) {
          assert.equal((await product.ask(where, { token })).status, 404, where);
        }
        for (const verb of ["cancel", "retry"]) {
          assert.equal(
            (await product.ask(`/api/v1/tasks/${other.task.id}/${verb}`, { token, method: "POST" })).status,
            404,
          );
          const bulk = await product.api(`/api/v1/tasks/${verb}`, { token, body: { ids: [other.task.id] } });
          assert.equal(bulk.results[0].error.code, "not_found");
        }
        const stolen = await product.ask("/api/v1/tasks", {
          token,
          method: "POST",
          body: { kind: "csv.profile", payload: { file: other.file } },
        });
        if (stolen.ok) {
          const { id } = await stolen.json();
          const end = await until("a task with a foreign file ends", async () => {
            const now = await product.api(`/api/v1/tasks/${id}`, { token });
            return /failed|completed/.test(now.status) && now;
          });
          assert.equal(end.status, "failed", JSON.stringify(end.output));
        }
        for (const query of ["", `?tag=${other.secret}`, `?q=${other.task.id}`]) {
          const text = JSON.stringify(await product.api(`/api/v1/tasks${query}`, { token }));
          for (const word of foreign) assert.ok(!text.includes(word), `${query}: ${word}`);
        }

        await page.goto(`${product.url}/tasks/${other.task.id}`);
        await page.getByRole("heading", { name: "There is no such task" }).waitFor();
        const html = await page.content();
        assert.ok(!html.includes(other.secret));
        await page.goto(`${product.url}/tasks?tag=${other.secret}`);
        await page.getByText("No task matches").waitFor();
        await page.goto(`${product.url}/new?from=${other.task.id}`);
        await page.getByText("The task to start from is gone").waitFor();
      }
    },
  );

  scenario("another sign-in in the same browser shows nothing of the one before", async ({ product, visit }) => {
    const visitor = await visit();
    const mine = await product.submit("noop", {}, { tags: ["left-behind"] });
    await visitor.signIn(product);
    await visitor.page.locator(`li[data-task="${mine.id}"]`).waitFor();
    await visitor.context.clearCookies();
    await visitor.bring(product, await product.mint("third"));
    await visitor.page.goto(`${product.url}/tasks`);
    await visitor.page.getByRole("heading", { name: "Nothing has been asked for yet" }).waitFor();
    await visitor.connection("live");
    assert.equal(await visitor.page.locator("li[data-task]").count(), 0);
  });
});
