// Chromium, and what a test sees in it: pages, socket frames, pictures when something failed.
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";
import { REPORT } from "./places.mjs";
import { SECOND, until } from "./wait.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: FLAGS });

/** A browser profile of its own, with everything its pages complain about written down. */
export class Visitor {
  static async enter(browser, options = {}) {
    const visitor = new Visitor();
    visitor.context = await browser.newContext({ viewport: DESKTOP, acceptDownloads: true, ...options });
    visitor.context.setDefaultTimeout(15 * SECOND);
    visitor.complaints = [];
    visitor.frames = [];
    /** Each socket ever opened, with what it sent and received. */
    visitor.sockets = [];
    visitor.context.on("page", (page) => visitor.#watch(page));
    visitor.page = await visitor.context.newPage();
    return visitor;
  }

  #watch(page) {
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: ${error.stack ?? error}`));
    page.on("console", (message) => {
      if (message.type() !== "error") return;
      // The browser tells of every answer that is no 2xx; whether that is wrong is for the test to say.
      if (/Failed to load resource|WebSocket connection to/.test(message.text())) return;
      this.complaints.push(`${page.url()}: ${message.text()}`);
    });
    page.on("websocket", (socket) => {
      const one = { url: socket.url(), sent: [], received: [] };
      this.sockets.push(one);
      socket.on("framesent", ({ payload }) => one.sent.push(String(payload)));
      socket.on("framereceived", ({ payload }) => {
        one.received.push(String(payload));
        this.frames.push(String(payload));
      });
    });
  }

  async signIn(product, { next, user = product.user, password = product.password } = {}) {
    const { page } = this;
    await page.goto(`${product.url}/login${next ? `?next=${encodeURIComponent(next)}` : ""}`);
    await page.getByLabel("Name").fill(user);
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL((url) => url.pathname !== "/login");
    // What is typed or dropped counts once the page has come alive.
    await this.connection("live");
  }

  /** Signs in with a token alone, as somebody of another issuer does. */
  async bring(product, token) {
    await this.context.addCookies([{ name: "tt_at", value: token, url: product.url, httpOnly: true, sameSite: "Lax" }]);
  }

  connection(status, withinMs = 15 * SECOND) {
    return until(
      `the page says it is ${status}`,
      async () => {
        const now = await this.page.locator("[data-slot=connection]").getAttribute("data-connection");
        if (now === status) return true;
        throw new Error(`it says ${now}`);
      },
      withinMs,
    );
  }

  /** Everything the socket has said so far that is of one type. */
  said(type) {
    return this.frames.map((text) => JSON.parse(text)).filter((frame) => frame.t === type);
  }
}

/** Status faces, as the page shows them. */
export const status = (scope) => scope.locator("[data-slot=status]").first();
export const statusIs = (scope, name, withinMs = 15 * SECOND) =>
  until(
    `the page shows ${name}`,
    async () => {
      const now = await status(scope).getAttribute("data-status", { timeout: SECOND });
      if (now === name) return true;
      throw new Error(`it shows ${now}`);
    },
    withinMs,
  );

/** Keeps a picture of every open page, and what they said, under target/e2e. */
export async function picture(visitors, folder, name) {
  const into = path.join(REPORT, folder);
  mkdirSync(into, { recursive: true });
  const safe = name.replaceAll(/[^A-Za-z0-9]+/g, "-").slice(0, 80);
  const written = [];
  for (const [index, visitor] of visitors.entries()) {
    for (const [nth, page] of visitor.context.pages().entries()) {
      const file = path.join(into, `${safe}-${index}-${nth}.png`);
      try {
        await page.screenshot({ path: file, fullPage: true, timeout: 5 * SECOND });
        written.push(file);
      } catch {
        // A page that cannot be photographed is no reason to hide why the test failed.
      }
    }
    writeFileSync(
      path.join(into, `${safe}-${index}.txt`),
      [...visitor.complaints, "", ...visitor.frames.slice(-200)].join("\n"),
    );
  }
  return written;
}

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** What axe finds serious or critical on the page as it is now. */
export async function grave(page) {
  // By the debugger's own door: the page's policy lets no foreign script in.
  if (!(await page.evaluate(() => "axe" in window))) {
    const { readFileSync } = await import("node:fs");
    await page.evaluate(readFileSync(AXE, "utf8"));
  }
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations
    .filter((one) => one.impact === "serious" || one.impact === "critical")
    .map((one) => `${one.id} (${one.impact}): ${one.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}

/**
 * Writes down every value that the bar of a task's page takes, from inside the page and from now on, also
 * on the page it goes to next; the answer reads them.
 */
export async function watchProgress(page) {
  await page.evaluate(() => {
    window.__seen = [];
    const look = () => {
      const now = document.querySelector("article [role=progressbar]")?.getAttribute("aria-valuenow");
      if (now != null && window.__seen.at(-1) !== Number(now)) window.__seen.push(Number(now));
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
    look();
  });
  return () => page.evaluate(() => window.__seen);
}
