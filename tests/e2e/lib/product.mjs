// The product as people start it: `tasktonic up`, workers beside it, tokens. Knows no browser.
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Redis, redisHome, redisUrl } from "./fleet.mjs";
import { IS_FLEET, meaningless, upFlags } from "./mode.mjs";
import { REPORT, ROOT } from "./places.mjs";
import { killSurvivors, ours, start } from "./processes.mjs";
import { final, SECOND, until } from "./wait.mjs";

/** How long the product may take from start to ready: a debug build, a cold disk, two cores. */
const READY_MS = (IS_FLEET ? 120 : 60) * SECOND;
/** How long it may take to end: many processes, the one after the other. */
const DOWN_MS = (IS_FLEET ? 60 : 20) * SECOND;
/** How long a worker that is asked to stop lets attempts go on, s. */
const DRAIN_S = 2;

export const BIN = firstThere("TASKTONIC_BIN", ["target/product/tasktonic", "target/debug/tasktonic"]);
const WEB = firstThere("TASKTONIC_WEB_DIR", ["web/.next/standalone/web"]);

function firstThere(variable, usual) {
  const named = process.env[variable];
  const found = named
    ? path.resolve(named)
    : usual.map((place) => path.join(ROOT, place)).find((place) => existsSync(place));
  if (!found || !existsSync(found)) {
    throw new Error(`${found ?? usual.join(" or ")} is not there: build it first, or name it in ${variable}`);
  }
  return found;
}

export function scratch(name) {
  return ours(mkdtempSync(path.join(os.tmpdir(), `tasktonic-e2e-${name}-`)));
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** One installation: a data folder, a port, and the server over it, which may be killed and started again. */
export class Product {
  /** @param {string} name of the test file, for its logs @param {{ workers?: boolean, args?: string[], env?: Record<string, string>, accounts?: Record<string, string> }} options */
  static async up(name, options = {}) {
    const why = meaningless(name);
    if (why) throw new Error(`${name} is ${why}`);
    const product = new Product();
    product.name = name;
    product.options = options;
    product.data = scratch(name);
    product.port = await freePort();
    product.logs = path.join(REPORT, name);
    product.workers = [];
    rmSync(product.logs, { recursive: true, force: true });
    // The embedded store is for one process at a time; Redis is there once the product is.
    if (!IS_FLEET) await product.addAccounts();
    await product.start();
    if (IS_FLEET) await product.addAccounts();
    return product;
  }

  async addAccounts() {
    for (const [account, password] of Object.entries(this.options.accounts ?? {})) {
      const adding = promisify(execFile)(BIN, ["account", "add", account, "--data", this.data], {
        env: { ...process.env, ...this.storeEnv() },
      });
      adding.child.stdin.end(password);
      await adding;
    }
  }

  /** How programs beside the product find its Redis; nothing where it has none. */
  storeEnv() {
    return IS_FLEET ? { TASKTONIC_STORE: redisUrl(this.data) } : {};
  }

  /** Its Redis, from outside. */
  get redis() {
    return new Redis(this.data);
  }

  async start() {
    const { args = [], env = {} } = this.options;
    const flags = ["up", "--data", this.data, "--port", String(this.port), "--json", ...upFlags(this.options)];
    this.server = start({
      name: "tasktonic up",
      program: BIN,
      args: [...flags, ...args],
      env: { TASKTONIC_WEB_DIR: WEB, ...env },
      log: path.join(this.logs, "server.log"),
    });
    // Where it is many, its death alone is a quiet end of the others: this is the end of all at once.
    if (IS_FLEET) this.server.kill9 = () => this.killEverything();
    const ready = await until(
      "tasktonic up is ready",
      () => {
        if (this.server.ended)
          throw final(`tasktonic up ended (${JSON.stringify(this.server.ended)}):\n${this.server.logged()}`);
        return readyLine(this.server.stdout);
      },
      READY_MS,
    );
    Object.assign(this, {
      url: ready.url.replace(/\/$/, ""),
      user: ready.user,
      password: ready.password,
      token: ready.token,
    });
  }

  /** `SIGKILL` to everybody of the fleet but the workers that were started beside it. */
  async killEverything() {
    killSurvivors(this.workers.map((worker) => worker.pid));
    await this.server.done;
  }

  /** @param {{ kinds?: string[], concurrency?: number, wrap?: string[] }} how */
  async work(name, { kinds, concurrency, wrap = [] } = {}) {
    // In a fleet a worker is at the store itself; else the server stands between.
    const env = IS_FLEET ? this.storeEnv() : { TASKTONIC_TOKEN: await this.mint(name, ["--role", "worker"]) };
    const at = IS_FLEET ? ["--files", `file://${redisHome(this.data)}/files`] : ["--server", this.url];
    const known = new Set((await this.api("/api/v1/workers")).workers.map((one) => one.id));
    const args = ["work", ...at, "--drain", String(DRAIN_S)];
    if (kinds) args.push("--kinds", kinds.join(","));
    if (concurrency) args.push("--concurrency", String(concurrency));
    const [program, ...rest] = [...wrap, ...machine(name), BIN, ...args];
    const worker = start({
      name: `tasktonic work (${name})`,
      program,
      args: rest,
      env,
      log: path.join(this.logs, `${name}.log`),
    });
    /** Whether the API or the page speaks of this worker: by the name of its machine, or, before it has reported, by its id. */
    worker.is = (shown) => shown?.startsWith(`${name}-`) === true || shown === worker.id.slice(-4);
    this.workers.push(worker);
    worker.id = await until(`worker ${name} has come forward`, async () => {
      if (worker.ended) throw final(`worker ${name} ended:\n${worker.logged()}`);
      const { workers } = await this.api("/api/v1/workers");
      const mine = workers.filter((one) => !known.has(one.id));
      return mine.length === 1 ? mine[0].id : undefined;
    });
    return worker;
  }

  async mint(user, more = []) {
    const { stdout } = await run("token", "mint", "--user", user, "--data", this.data, ...more);
    return stdout.trim().split("\n").at(-1);
  }

  /** One call of the API; throws the problem. `token` is somebody else's, `body` makes it a POST. */
  async api(where, { token = this.token, body, method = body === undefined ? "GET" : "POST", headers = {} } = {}) {
    const response = await this.ask(where, { token, body, method, headers });
    const text = await response.text();
    if (!response.ok)
      throw Object.assign(new Error(`${method} ${where}: ${response.status} ${text}`), { status: response.status });
    return text ? JSON.parse(text) : undefined;
  }

  ask(where, { token = this.token, body, method = "GET", headers = {} } = {}) {
    const raw = body instanceof Uint8Array;
    return fetch(`${this.url}${where}`, {
      method,
      redirect: "manual",
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined || raw ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
    });
  }

  submit(kind, payload, options = {}) {
    return this.api("/api/v1/tasks", { body: { kind, payload, ...options } });
  }
  task(id) {
    return this.api(`/api/v1/tasks/${id}`);
  }
  async attempts(id) {
    return (await this.api(`/api/v1/tasks/${id}/attempts`)).attempts;
  }
  ended(id, withinMs = 30 * SECOND) {
    return this.reached(id, ["completed", "failed", "cancelled"], withinMs);
  }
  reached(id, statuses, withinMs = 15 * SECOND) {
    return until(
      `task ${id} is ${statuses.join(" or ")}`,
      async () => {
        const task = await this.task(id);
        if (statuses.includes(task.status)) return task;
        throw new Error(`it is ${task.status} (${task.error?.message ?? task.progress?.done ?? ""})`);
      },
      withinMs,
    );
  }
  /** Kinds appear once a worker has come forward. */
  kind(name) {
    return until(`a worker serves ${name}`, async () => {
      const { kinds } = await this.api("/api/v1/kinds");
      return kinds.find((kind) => kind.kind === name && kind.served);
    });
  }

  async down() {
    const troubles = [];
    for (const program of [...this.workers, this.server]) {
      await program?.stop(DOWN_MS).catch((error) => troubles.push(error));
    }
    // One file per process: what a failure of the many is looked for in.
    for (const folder of IS_FLEET ? ["log", "nginx", "run"] : []) {
      const from = path.join(this.data, folder);
      const isText = (file) => !/\.(sock|pid)$|_temp$/.test(file);
      if (existsSync(from)) cpSync(from, path.join(this.logs, folder), { recursive: true, filter: isText });
    }
    rmSync(this.data, { recursive: true, force: true });
    if (troubles.length) throw new AggregateError(troubles, troubles.map((error) => error.message).join("; "));
  }
}

/** Goes before a command line: it runs on a machine of that name, as a worker elsewhere would. */
const machine = (name) => ["unshare", "--map-root-user", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name];

export const run = (...args) => promisify(execFile)(BIN, args, { maxBuffer: 64 * 1024 * 1024 });

function readyLine(text) {
  for (const line of text.split("\n")) {
    if (!line.startsWith("{")) continue;
    try {
      const value = JSON.parse(line);
      if (value.ready) return value;
    } catch {
      // The line is not whole yet.
    }
  }
  return undefined;
}
