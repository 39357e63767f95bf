// A hard limit of memory around one program, where the machine has a way to set one.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { until } from "./wait.mjs";

/** A control group that may hold `bytes`, or undefined where none can be made. */
export function memoryCap(name, bytes) {
  for (const { root, limit, peak, kills } of KINDS) {
    const folder = `${root}/tasktonic-e2e-${name}-${process.pid}`;
    try {
      mkdirSync(folder);
      // In a folder that is no control group, the file would be made by writing it.
      if (!existsSync(`${folder}/${limit}`)) throw new Error("this is no control group");
      writeFileSync(`${folder}/${limit}`, String(bytes));
    } catch {
      remove(folder);
      continue;
    }
    return {
      /** Starts a program in the group: `wrap` goes before its command line. */
      wrap: ["sh", "-c", `echo $$ > ${folder}/cgroup.procs && exec "$@"`, "sh"],
      /** Peak use, page cache included, bytes. */
      peak: () => number(`${folder}/${peak}`),
      /** How often the limit killed something. */
      kills: () => Number(/oom_kill (\d+)/.exec(readFileSync(`${folder}/${kills}`, "utf8"))?.[1] ?? 0),
      close: () => until("the control group is empty", () => remove(folder)),
    };
  }
  return undefined;
}

const KINDS = [
  { root: "/sys/fs/cgroup", limit: "memory.max", peak: "memory.peak", kills: "memory.events" },
  {
    root: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    kills: "memory.oom_control",
  },
];

function number(file) {
  try {
    return Number(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

function remove(folder) {
  try {
    rmdirSync(folder);
    return true;
  } catch (error) {
    return error.code === "ENOENT";
  }
}
