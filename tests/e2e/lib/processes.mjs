// Programs that the tests start, each in a process group of its own, and that end with the tests.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { SECOND, until } from "./wait.mjs";

/** Everything started here carries this in its environment, whatever process group it moves to. */
const MARK = `TASKTONIC_E2E_RUN=${randomUUID()}`;
/** Folders of this run: who writes into one belongs to it too, with whatever environment. */
const folders = new Set();

/** Says that `folder` is of this run. */
export function ours(folder) {
  folders.add(`${folder}/`);
  return folder;
}

/** @param {{ program: string, args: string[], env?: Record<string, string>, log: string, name: string }} how */
export function start({ program, args, env = {}, log, name }) {
  mkdirSync(path.dirname(log), { recursive: true });
  writeFileSync(log, "", { flag: "a" });
  const [key, value] = MARK.split("=");
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...clean(process.env), ...env, [key]: value },
  });
  const running = { name, pid: child.pid, child, log, ended: undefined, stdout: "" };
  const both = (chunk) => appendFileSync(log, chunk);
  child.stdout.on("data", (chunk) => {
    running.stdout += chunk;
    both(chunk);
  });
  child.stderr.on("data", both);
  running.done = new Promise((resolve) => {
    child.on("error", (error) => {
      running.ended = { error };
      resolve(running.ended);
    });
    child.on("close", (code, signal) => {
      running.ended ??= { code, signal };
      resolve(running.ended);
    });
  });
  running.logged = () => readFileSync(log, "utf8");
  running.signal = (signal) => {
    if (!running.ended) process.kill(running.pid, signal);
  };
  /** `SIGKILL` to it alone, and it is gone when this returns. */
  running.kill9 = async () => {
    running.signal("SIGKILL");
    await running.done;
  };
  /** As people stop it; whoever needs longer than `withinMs` is killed and that is an error. */
  running.stop = async (withinMs = 20 * SECOND) => {
    if (running.ended) return;
    running.signal("SIGCONT");
    running.signal("SIGTERM");
    try {
      await until(`${name} has ended after SIGTERM`, () => running.ended, withinMs);
    } catch (error) {
      killGroup(running.pid);
      await running.done;
      throw error;
    }
  };
  return running;
}

/** The environment without what would point a program at another installation. */
function clean(env) {
  return Object.fromEntries(
    Object.entries(env).filter(([key]) => !/^(TASKTONIC_(?!BIN|WEB_DIR)|NODE_TEST_)/.test(key)),
  );
}

function killGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nobody is left in it.
  }
}

/** The processes of this run that are still there. */
export function survivors() {
  return everybody().filter((pid) => pid !== process.pid && (isMarked(pid) || writesHere(pid)));
}

const everybody = () =>
  readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);

function isMarked(pid) {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(MARK);
  } catch {
    return false;
  }
}

function writesHere(pid) {
  try {
    const out = readlinkSync(`/proc/${pid}/fd/1`);
    return [...folders].some((folder) => out.startsWith(folder));
  } catch {
    return false;
  }
}

/** Who of this run listens where: `{ pid, address, port }`, addresses as the kernel writes them. */
export function listeners() {
  const sockets = new Map();
  for (const table of ["tcp", "tcp6"]) {
    for (const line of readFileSync(`/proc/net/${table}`, "utf8").split("\n").slice(1)) {
      const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state !== LISTENS) continue;
      const [address, port] = local.split(":");
      sockets.set(`socket:[${inode}]`, { address, port: Number.parseInt(port, 16) });
    }
  }
  return survivors().flatMap((pid) =>
    openFiles(pid)
      .filter((file) => sockets.has(file))
      .map((file) => ({ pid, ...sockets.get(file) })),
  );
}

/** A state in /proc/net/tcp. */
const LISTENS = "0A";

function openFiles(pid) {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

/** Whether a process has ended, be it that nobody has asked for its end yet. */
export function isGone(pid) {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return true;
  }
}

/** Ends whatever of this run is left but `spared`, by its id. */
export function killSurvivors(spared = []) {
  for (const pid of survivors()) {
    if (spared.includes(pid)) continue;
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
}

/** Peak resident memory of a living process, bytes. */
export function peakMemory(pid) {
  const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  if (!found) throw new Error(`/proc/${pid}/status has no VmHWM`);
  return Number(found[1]) * 1024;
}
