// The parts of an installation that has many: who they are now, and their Redis from outside. Knows no browser.
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { start } from "./processes.mjs";
import { until } from "./wait.mjs";

/** Those who belong to the fleet in the data folder `data`, as it keeps its list. */
export function members(data) {
  const { members } = JSON.parse(readFileSync(path.join(data, "run/fleet.json"), "utf8"));
  return members.map(({ name, port, group }) => ({ name, port, pid: group.pid }));
}

/** The member of this name. */
export function member(data, name) {
  const found = members(data).find((one) => one.name === name);
  if (!found) throw new Error(`there is no ${name}: ${members(data).map((one) => one.name)}`);
  return found;
}

/** Waits until the member of this name is another process than `before`. */
export const replaced = (data, before, withinMs) =>
  until(
    `${before.name} was started again`,
    () => {
      const now = members(data).find((one) => one.name === before.name);
      return now && now.pid !== before.pid ? now : undefined;
    },
    withinMs,
  );

/** The folder of the installation's own Redis: a cluster has another than a single one. */
export const redisHome = (data) =>
  [path.join(data, "cluster"), path.join(data, "redis")].find((folder) => existsSync(folder));

const inRedis = (data, file) => readFileSync(path.join(redisHome(data), file), "utf8").trim();

/** Where the servers of the installation's Redis listen. */
const redisPorts = (data) => JSON.parse(inRedis(data, "layout.json")).nodes.map((node) => node.port);

/** The installation's own Redis as programs beside it are told of it. It holds the password. */
export const redisUrl = (data) =>
  `redis://:${inRedis(data, "password")}@${redisPorts(data)
    .map((port) => `127.0.0.1:${port}`)
    .join(",")}`;

/** The log of a member. */
export const logOf = (data, name) => readFileSync(path.join(data, "log", `${name}.log`), "utf8");

/** The lines of a log that are JSON, read. */
export const entries = (text) =>
  text.split("\n").flatMap((line) => {
    try {
      return line.startsWith("{") ? [JSON.parse(line)] : [];
    } catch {
      return [];
    }
  });

/** What nginx wrote down of requests: `path` without its query, `upstream` empty where it asked nobody. */
export const accessLog = (data) => entries(readFileSync(path.join(data, "nginx/access.json"), "utf8"));

/** The worker that has the task `id` now: each says its id at its start, and the API shows the end of it. */
export async function workerOf(product, id) {
  const { worker } = await product.task(id);
  const all = members(product.data).filter(({ name }) => name.startsWith("worker-"));
  const said = ({ name }) =>
    entries(logOf(product.data, name)).findLast((entry) => entry.fields?.worker)?.fields.worker ?? "";
  const found = all.find((one) => said(one).slice(-4) === worker.slice(-4));
  if (!found) throw new Error(`${worker} is none of ${all.map((one) => `${one.name} (${said(one)})`)}`);
  return found;
}

/** How many WebSockets the server on `port` holds. */
export async function socketsOf(port) {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const found = /^tasktonic_sockets (\d+)/m.exec(text);
  if (!found) throw new Error(`no number of sockets in: ${text.slice(0, 300)}`);
  return Number(found[1]);
}

/** Redis of an installation, asked by `redis-cli`. The password travels in the environment. */
export class Redis {
  /** @param {string} data folder of the installation */
  constructor(data) {
    this.ports = redisPorts(data);
    this.env = { ...process.env, REDISCLI_AUTH: inRedis(data, "password") };
  }

  /** The command line of `redis-cli` at one of its servers. */
  args(port, ...more) {
    return ["-h", "127.0.0.1", "-p", String(port), ...more];
  }

  /** What one server answers, as text without the quotes for terminals. */
  async ask(port, ...command) {
    const { stdout, stderr } = await promisify(execFile)("redis-cli", this.args(port, ...command), {
      env: this.env,
      maxBuffer: 64 * 1024 * 1024,
    });
    if (/^(ERR|NOAUTH|WRONGPASS|NOPERM|MOVED) /.test(stdout)) throw new Error(`${command[0]}: ${stdout}${stderr}`);
    return stdout.replace(/\n$/, "");
  }

  /** The servers that take writes. */
  async masters() {
    const all = await Promise.all(this.ports.map(async (port) => [port, await this.ask(port, "role")]));
    return all.filter(([, role]) => role.startsWith("master")).map(([port]) => port);
  }

  /** Every key, and the server that has it. */
  async keys() {
    const found = [];
    for (const port of await this.masters()) {
      const text = await this.ask(port, "--scan");
      for (const key of text.split("\n").filter(Boolean)) found.push({ key, port });
    }
    return found;
  }
}

/** Listens in at Redis with `redis-cli`, until `stop`: what it printed so far is `text()`. */
export function listen(redis, port, log, ...command) {
  const child = start({
    name: `redis-cli ${command[0]}`,
    program: "redis-cli",
    args: redis.args(port, ...command),
    env: { REDISCLI_AUTH: redis.env.REDISCLI_AUTH },
    log,
  });
  return { text: () => child.stdout, stop: () => child.stop() };
}
