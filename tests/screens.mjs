// Pictures of every screen of a running installation: phone and desk, light and dark.
//
//   node tests/screens.mjs --url http://localhost:8080 --user demo --password … [--into target/screens]
//
// or TASKTONIC_URL, TASKTONIC_USER and TASKTONIC_PASSWORD. It hands over tasks of its own first: photos, a
// table, failures. On an installation without tasks it begins with the picture of the empty list.
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { DESKTOP, launch, PHONE, Visitor } from "./e2e/lib/browser.mjs";
import { SECOND, until } from "./e2e/lib/wait.mjs";

const { values } = parseArgs({
  options: {
    url: { type: "string", default: process.env.TASKTONIC_URL },
    user: { type: "string", default: process.env.TASKTONIC_USER },
    password: { type: "string", default: process.env.TASKTONIC_PASSWORD },
    into: { type: "string", default: path.resolve(import.meta.dirname, "../target/screens") },
    only: { type: "string", default: "" },
  },
});
if (!values.url || !values.user || !values.password) {
  console.error("Say where and as whom: --url, --user, --password, or the environment (see the top of this file).");
  process.exit(2);
}
const url = values.url.replace(/\/$/, "");
const PHOTOS = "/usr/share/backgrounds/mate/nature";
const TABLE = path.resolve(import.meta.dirname, "../node_modules/vega-datasets/data/birdstrikes.csv");
const LOOKS = [
  { name: "desk-light", viewport: DESKTOP, colorScheme: "light" },
  { name: "desk-dark", viewport: DESKTOP, colorScheme: "dark" },
  { name: "phone-light", viewport: PHONE, colorScheme: "light", deviceScaleFactor: 2, hasTouch: true },
  { name: "phone-dark", viewport: PHONE, colorScheme: "dark", deviceScaleFactor: 2, hasTouch: true },
].filter((look) => look.name.includes(values.only));

let token = "";
token = (await call("/api/v1/auth/token", { body: { username: values.user, password: values.password } })).access_token;

async function call(where, { body, headers = {}, raw } = {}) {
  const response = await fetch(`${url}${where}`, {
    method: body === undefined && raw === undefined ? "GET" : "POST",
    headers: {
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? (raw === undefined ? {} : { body: raw }) : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${where}: ${response.status} ${await response.text()}`);
  return response.json();
}

const upload = async (file, type) =>
  (
    await call(`/api/v1/files?name=${encodeURIComponent(path.basename(file))}`, {
      raw: readFileSync(file),
      headers: { "content-type": type },
    })
  ).id;
const submit = (kind, payload, more = {}) => call("/api/v1/tasks", { body: { kind, payload, ...more } });
const ended = (task) =>
  until(
    `${task.kind} ends`,
    async () => /completed|failed|cancelled/.test((await call(`/api/v1/tasks/${task.id}`)).status),
    120 * SECOND,
  );

async function fill() {
  const photos = readdirSync(PHOTOS).filter((name) => name.endsWith(".jpg"));
  const ids = [];
  for (const name of photos) ids.push(await upload(path.join(PHOTOS, name), "image/jpeg"));
  const images = await submit("images.resize", { photos: ids, sizes: [1200, 320] }, { tags: ["holiday", "2026"] });
  const csv = await submit("csv.profile", { file: await upload(TABLE, "text/csv") }, { tags: ["import"] });
  const failed = await submit("noop", { sleep_ms: 200, fail_rate: 1 }, { attempts_max: 2, tags: ["nightly"] });
  const http = await submit("http.request", { method: "GET", url: "http://127.0.0.1:9/" }, { attempts_max: 1 });
  const cancelled = await submit("noop", {}, { delay_ms: 86_400_000 });
  await call(`/api/v1/tasks/${cancelled.id}/cancel`, { body: {} });
  await submit("noop", {}, { delay_ms: 7_200_000, tags: ["digest"] });
  await Promise.all([images, csv, failed, http].map(ended));
  const running = await submit("noop", { sleep_ms: 900_000, progress_steps: 1_500 }, { tags: ["backfill"] });
  await until("it runs", async () => ((await call(`/api/v1/tasks/${running.id}`)).progress?.done ?? 0) > 0);
  return { images, csv, failed, http, running };
}

const browser = await launch();
mkdirSync(values.into, { recursive: true });

async function shoot(look, screens) {
  const { name, ...context } = look;
  const visitor = await Visitor.enter(browser, context);
  const { page } = visitor;
  const take = async (screen, fullPage = true) => {
    await page.evaluate(() => document.fonts.ready);
    // Pictures further down are read when somebody gets there.
    if (fullPage) {
      await page.evaluate(() => {
        for (const img of document.images) img.loading = "eager";
      });
      await page.evaluate(() => Promise.all([...document.images].map((img) => img.decode().catch(() => undefined))));
    }
    await page.waitForLoadState("networkidle");
    await page.screenshot({ path: path.join(values.into, `${screen}.${name}.png`), fullPage, animations: "disabled" });
  };
  await screens({ page, visitor, take, open: (where) => page.goto(`${url}${where}`) });
  for (const complaint of visitor.complaints) console.error(`${name}: ${complaint}`);
  await visitor.context.close();
}

const account = { url, user: values.user, password: values.password };
if ((await call("/api/v1/tasks/counts")).all === 0) {
  for (const look of LOOKS) {
    await shoot(look, async ({ visitor, take }) => {
      await visitor.signIn(account);
      await take("tasks-first");
    });
  }
}
const tasks = await fill();
for (const look of LOOKS) {
  await shoot(look, async ({ page, visitor, take, open }) => {
    await open("/login");
    await take("login", false);
    await page.getByLabel("Name").fill("somebody");
    await page.getByLabel("Password", { exact: true }).fill("not the password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").filter({ hasText: /./ }).first().waitFor();
    await take("login-refused", false);
    await visitor.signIn(account);
    await visitor.connection("live");

    await open("/tasks");
    await take("tasks");
    await open("/tasks?status=failed&tag=nightly");
    await take("tasks-filtered");
    await open("/tasks?tag=nobody-has-this");
    await take("tasks-none-match", false);
    await open("/tasks?status=queued");
    await take("tasks-none-queued", false);

    await open(`/tasks/${tasks.running.id}`);
    await page.getByRole("progressbar").waitFor();
    await take("task-running");
    await open(`/tasks/${tasks.images.id}`);
    await page.getByRole("tabpanel").locator("img").first().waitFor();
    await take("task-images");
    await open(`/tasks/${tasks.images.id}?tab=files`);
    await take("task-images-files");
    await open(`/tasks/${tasks.images.id}?tab=timeline`);
    await take("task-images-timeline");
    await open(`/tasks/${tasks.images.id}?tab=input`);
    await take("task-images-input");
    await open(`/tasks/${tasks.images.id}?tab=output`);
    await page
      .getByRole("button", { name: /^Look at/ })
      .first()
      .click();
    await page.getByRole("dialog").locator("img").waitFor();
    await take("task-images-large", false);
    await open(`/tasks/${tasks.csv.id}`);
    await take("task-csv");
    await open(`/tasks/${tasks.csv.id}?tab=logs`);
    await take("task-csv-logs");
    await open(`/tasks/${tasks.failed.id}`);
    await take("task-failed");
    await open(`/tasks/${tasks.http.id}?tab=raw`);
    await take("task-raw");
    await open("/tasks/AAAAAAAAAAAAAAAA");
    await take("task-not-found", false);
    await open("/nothing/here");
    await take("not-found", false);

    await open("/new");
    await take("new");
    for (const kind of ["images.resize", "csv.profile", "http.request", "noop"]) {
      await open(`/new?kind=${kind}`);
      await take(`new-${kind}`);
    }
    await page.locator("summary", { hasText: "Options" }).click();
    await page.getByLabel("Share of failures").fill("7");
    await page.getByRole("button", { name: "Run it" }).click();
    await until(
      "the refusal is shown",
      async () => (await page.getByLabel("Share of failures").getAttribute("aria-invalid")) === "true",
    );
    await take("new-refused");
    await page.getByRole("button", { name: "Edit as JSON" }).click();
    await take("new-json");

    await open("/tasks");
    await page.locator("li[data-task]").first().waitFor();
    await visitor.connection("live");
    await page.keyboard.press("Control+k");
    await page.getByRole("option").first().waitFor();
    await take("palette", false);
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await take("keys", false);
    await page.keyboard.press("Escape");
    await page.getByRole("checkbox", { name: "Select all tasks in the list" }).click();
    await take("selection", false);
    await page.getByRole("toolbar").getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("dialog").waitFor();
    await take("cancel-dialog", false);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Clear the selection" }).click();
    await page
      .getByRole("button", { name: /^Verbs for/ })
      .first()
      .click();
    await page.getByRole("menu").waitFor();
    await take("row-menu", false);
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /account of/ }).click();
    await page.getByRole("menu").waitFor();
    await take("account-menu", false);

    await open(`/tasks/${tasks.running.id}`);
    await visitor.connection("live");
    await visitor.context.setOffline(true);
    await until("the chip says so", () => page.getByText("Offline", { exact: true }).isVisible());
    await take("offline", false);
  });
}
await browser.close();
console.log(`pictures are in ${values.into}`);
