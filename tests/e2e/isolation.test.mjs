// Users whose names are made to be mistaken for others, each against each, through nginx: lists, tasks by id,
// files, events.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after } from "node:test";
import { issuer } from "./lib/issuer.mjs";
import { scratch } from "./lib/product.mjs";
import { suite } from "./lib/suite.mjs";
import { everyTask } from "./lib/traffic.mjs";
import { SECOND, until } from "./lib/wait.mjs";

/** Each is somebody else than all others. */
const SUBJECTS = [
  "demo",
  "ana",
  "Ana",
  "ana ",
  " ana",
  "аna",
  "ana\u0301",
  "an\u00e1",
  "ana\u200b",
  "a:b",
  "u:ana:q:noop",
  "tt:{p0}:u:ana",
  "{ana}",
  "}{",
  "*",
  "?na",
  "[a-z]na",
  "ana|ben",
  "ana,ben",
  "../ana",
  "ana/../ben",
  "%61na",
  "~",
  "~AAAAAAAAAAAAAAAAAAAAAA",
  "x".repeat(256),
  `${"x".repeat(255)}y`,
  "x".repeat(32),
  "x".repeat(33),
  "🐙".repeat(64),
];
/** These are nobody. */
const REFUSED = ["", "ana\r\nx-tt-user: demo", "ana\n", "ana\0", "\u007f", "x".repeat(257), "🐙".repeat(65)];

const desk = scratch("isolation-desk");
const id = issuer(desk);
after(() => rmSync(desk, { recursive: true, force: true }));

suite("isolation", { args: ["--config", id.config] }, ({ scenario }) => {
  scenario("a subject that cannot be a user is refused at the door", async ({ product }) => {
    for (const sub of REFUSED) {
      const answer = await product.ask("/api/v1/me", { token: id.token({ sub }) });
      assert.equal(answer.status, 401, JSON.stringify(sub));
      assert.equal(answer.headers.get("x-tt-user"), null);
    }
  });

  scenario("nothing of any of them reaches any other", async ({ product, visit }) => {
    await product.kind("noop");
    const { page } = await visit();
    await page.goto(`${product.url}/login`);
    const people = [];
    for (const [n, sub] of SUBJECTS.entries()) {
      const token = id.token({ sub });
      const { user } = await product.api("/api/v1/me", { token });
      const secret = `secret-of-${n}-end`;
      people.push({ sub, token, user, secret });
    }
    assert.equal(new Set(people.map(({ user }) => user)).size, people.length, "two subjects are one user");
    await listenIn(page, people);

    for (const person of people) {
      const { token, secret } = person;
      const file = await product.ask(`/api/v1/files?name=${secret}.txt`, {
        token,
        method: "POST",
        body: Buffer.from(secret),
        headers: { "content-type": "text/plain" },
      });
      assert.equal(file.status, 201, `${JSON.stringify(person.sub)}: ${await file.clone().text()}`);
      person.file = (await file.json()).id;
      const body = { kind: "noop", payload: { sleep_ms: 200, progress_steps: 4 }, tags: [secret] };
      person.task = (await product.api("/api/v1/tasks", { token, body })).id;
    }
    for (const { token, task } of people) {
      await until(
        "it has ended",
        async () => (await product.api(`/api/v1/tasks/${task}`, { token })).status === "completed",
        60 * SECOND,
      );
    }

    for (const self of people) {
      const { token, task, file, secret } = self;
      const who = JSON.stringify(self.sub);
      const others = people.filter((one) => one !== self);
      const mine = await everyTask(product, "", token);
      assert.deepEqual(
        mine.map((one) => [one.id, one.tags]),
        [[task, [secret]]],
        `the list of ${who}`,
      );
      const counts = await product.api("/api/v1/tasks/counts", { token });
      assert.equal(counts.all, 1, who);
      // One question each where there is one for many; by id for the neighbours in the list, whose names are alike.
      for (const verb of ["cancel", "retry"]) {
        const { results } = await product.api(`/api/v1/tasks/${verb}`, {
          token,
          body: { ids: others.map((other) => other.task) },
        });
        assert.deepEqual([...new Set(results.map((one) => one.error?.code))], ["not_found"], who);
      }
      const at = people.indexOf(self);
      for (const other of [people.at(at - 1), people[(at + 1) % people.length]]) {
        for (const where of [
          `/api/v1/tasks/${other.task}`,
          `/api/v1/tasks/${other.task}/attempts`,
          `/api/v1/files/${other.file}`,
        ]) {
          const answer = await product.ask(where, { token });
          assert.equal(answer.status, 404, `${who}: ${where}`);
        }
      }
      assert.equal((await product.ask(`/api/v1/files/${file}`, { token })).status, 200, who);
      const body = { kind: "csv.profile", payload: { file: people.at(at - 1).file } };
      const stolen = await product.ask("/api/v1/tasks", { token, method: "POST", body });
      assert.ok(stolen.status >= 400 && stolen.status < 500, `${who} may name another's file: ${stolen.status}`);
    }

    const heard = await page.evaluate(() => window.__heard);
    for (const [n, self] of people.entries()) {
      const who = JSON.stringify(self.sub);
      const text = heard[n].join("\n");
      assert.ok(text.includes(self.task), `${who} heard nothing of its own task: ${text.slice(0, 500)}`);
      for (const other of people) {
        if (other === self) continue;
        for (const word of [other.task, other.secret, other.file]) {
          assert.ok(!text.includes(word), `${who} heard ${word} of ${JSON.stringify(other.sub)}`);
        }
      }
    }
  });

  scenario("identity headers of a client are nobody's identity", async ({ product }) => {
    const token = id.token({ sub: "ana" });
    const { user } = await product.api("/api/v1/me", { token });
    for (const name of ["x-tt-user", "X-TT-User", "x_tt_user", "x-user", "x-forwarded-user", "x-tt-role"]) {
      const told = await product.api("/api/v1/me", { token, headers: { [name]: "demo" } });
      assert.deepEqual([told.user, told.role], [user, "user"], name);
    }
  });
});

/** A socket for each of them, open and welcomed; what each hears is kept in the page. */
async function listenIn(page, people) {
  await page.evaluate(
    (tokens) => {
      window.__heard = tokens.map(() => []);
      for (const [n, token] of tokens.entries()) {
        const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws`, ["tt.v1", `tt.jwt.${token}`]);
        socket.onopen = () => socket.send(JSON.stringify({ t: "hello", v: 1, cursor: null, watch: { recent: 200 } }));
        socket.onmessage = (event) => window.__heard[n].push(event.data);
      }
    },
    people.map(({ token }) => token),
  );
  await until("every socket has its snapshot", async () => {
    const heard = await page.evaluate(() =>
      window.__heard.map((all) => all.some((text) => text.includes('"snapshot"'))),
    );
    return heard.every(Boolean);
  });
}
