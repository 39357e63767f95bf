// Other work that goes on while something fails: every task that was accepted is remembered.
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { SECOND, until } from "./wait.mjs";

/** Between two submissions, ms. */
const EVERY_MS = 150;

/**
 * Submits small tasks, each under a key of its own, until it is stopped. What gets no answer is said again
 * under the same key, as a careful client does.
 */
export class Traffic {
  /** @param {{ product: object, atEnd: Function }} world of a scenario; with it this ends too, however it went. */
  constructor({ product, atEnd }) {
    atEnd(() => this.stop());
    this.product = product;
    this.accepted = new Map();
    this.again = 0;
    this.going = true;
    this.gaveUp = false;
    this.done = this.#go();
    // It is told when the scenario settles; until then nobody listens.
    this.done.catch(() => undefined);
  }

  async #go() {
    while (this.going) {
      const key = randomUUID();
      await this.#submit(key);
      await pause(EVERY_MS);
    }
  }

  async #submit(key) {
    await until(
      "a task is accepted",
      async () => {
        if (this.gaveUp) return true;
        try {
          const task = await this.product.submit("noop", { sleep_ms: 20 }, { idempotency_key: key, tags: ["traffic"] });
          this.accepted.set(key, task.id);
          return true;
        } catch (error) {
          // A refusal of what is asked would never end; everything else is what a failing part looks like.
          if (error.status >= 400 && error.status < 500 && error.status !== 429) error.final = true;
          this.again += 1;
          throw error;
        }
      },
      60 * SECOND,
    );
  }

  /** Submits nothing more, and insists on nothing. */
  async stop() {
    this.going = false;
    this.gaveUp = true;
    await this.done.catch(() => undefined);
  }

  /** Stops, and sees to it that each task that was accepted is there once, and ended well. */
  async settle() {
    this.going = false;
    await this.done;
    const { product, accepted } = this;
    for (const [key, id] of accepted) {
      const task = await product.ended(id, 60 * SECOND);
      if (task.status !== "completed") throw new Error(`${id} is ${task.status}: ${JSON.stringify(task.error)}`);
      if (task.idempotency_key !== key) throw new Error(`${id} has another key`);
    }
    const kept = new Set(accepted.values());
    if (kept.size !== accepted.size) throw new Error("two keys found one task");
    const strangers = (await everyTask(product, "?tag=traffic")).filter((task) => !kept.has(task.id));
    const known = strangers.filter((task) => accepted.has(task.idempotency_key));
    if (known.length > 0) throw new Error(`a key has two tasks: ${known.map((task) => task.id)}`);
    return { accepted: accepted.size, again: this.again };
  }
}

/** A whole list, page by page. */
export async function everyTask(product, query = "", token = undefined) {
  const all = [];
  for (let cursor = ""; cursor !== null; ) {
    const more = cursor ? `${query ? "&" : "?"}cursor=${encodeURIComponent(cursor)}` : "";
    const page = await product.api(`/api/v1/tasks${query}${more}`, token === undefined ? {} : { token });
    all.push(...page.tasks);
    cursor = page.next_cursor;
  }
  return all;
}
