// Programs that the tests start, each in a process group of its own, and that end with the tests.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { SECOND, until } from "./wait.mjs";

/** Everything started here carries this in its environment, whatever process group it moves to. */
const MARK = `TASKTONIC_E2E_RUN=${randomUUID()}`;

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
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      if (pid === process.pid) return false;
      try {
        return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(MARK);
      } catch {
        return false;
      }
    });
}

/** Ends whatever of this run is left, by its id. */
export function killSurvivors() {
  for (const pid of survivors()) {
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
