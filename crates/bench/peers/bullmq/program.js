// BullMQ: at least once as it comes; a lock that is not renewed makes a task "stalled", and it is
// taken again. Events and finished tasks are kept, as its defaults say.
//
// Its own client of Redis is ioredis, which it wants installed beside it.
//
// Started as `program.js submit` or `program.js worker CONCURRENCY`; the bench says where the rest
// is in the environment, and what to submit line by line.

import { openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { Queue, Worker } from "bullmq";

const { hostname: host, port } = new URL(process.env.REDIS_URL);
const taskMs = Number(process.env.TASK_MS ?? "0");
// Waits without end for a server that is away, as a worker's connection must.
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const name = "bench";
const nowNs = () => Number(process.hrtime.bigint());
const answer = (members) => process.stdout.write(`${JSON.stringify(members)}\n`);
// An error that repeats without end would fill the disk; the bench tells its first.
const giveUp = (error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
};
// Nobody wakes who waits here: a sleep of parts of a millisecond.
const never = new Int32Array(new SharedArrayBuffer(4));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function work(concurrency) {
  const log = openSync(process.env.LOG, "a");
  const worker = new Worker(
    name,
    async ({ data }) => {
      const started = Buffer.alloc(24);
      started.writeBigUInt64LE(BigInt(data.n), 0);
      started.writeBigUInt64LE(BigInt(data.at), 8);
      started.writeBigUInt64LE(process.hrtime.bigint(), 16);
      writeSync(log, started);
      if (taskMs > 0) await sleep(taskMs);
    },
    { connection, concurrency },
  );
  worker.on("error", giveUp);
}

async function submit() {
  const queue = new Queue(name, { connection });
  queue.on("error", giveUp);
  await queue.waitUntilReady();
  answer({ ready: true });
  for await (const line of createInterface({ input: process.stdin })) {
    const { first, pad, count, size, offsets_ns: offsets } = JSON.parse(line);
    const task = (n, at) => ({ n: first + n, at, pad });
    const waits = [];
    const start = nowNs();
    if (offsets) {
      for (const [n, offset] of offsets.entries()) {
        const at = start + offset;
        // Timers of Node count in milliseconds, and whoever spins takes the worker's time.
        const rest = (at - nowNs()) / 1e6;
        if (rest > 0) Atomics.wait(never, 0, 0, rest);
        await queue.add("noop", task(n, at));
      }
      answer({ took_ns: nowNs() - start, waits_ns: waits });
      continue;
    }
    for (let at = 0; at < count; at += size) {
      const since = nowNs();
      const some = Array.from({ length: Math.min(size, count - at) }, (_, n) => task(at + n, since));
      if (size === 1) await queue.add("noop", some[0]);
      else await queue.addBulk(some.map((data) => ({ name: "noop", data })));
      waits.push(nowNs() - since);
    }
    answer({ took_ns: nowNs() - start, waits_ns: waits });
  }
  await queue.close();
}

if (process.argv[2] === "worker") work(Number(process.argv[3]));
else await submit();
