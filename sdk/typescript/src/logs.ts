import { soon } from "./store.ts";
import type { LogLine } from "./types.ts";

/** Lines one tab keeps per task; the oldest go first. The whole log can always be downloaded. */
export const LINES_MAX = 20_000;

export type LogView = {
  lines: readonly LogLine[];
  /** Number of the last line we hold; the next one asked for comes after it. */
  last: number;
};

const EMPTY: LogView = { lines: [], last: 0 };

/** The log lines of watched tasks, in order of their numbers, each once. */
export class LogStore {
  readonly #views = new Map<string, LogView>();
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #waiting = new Set<string>();
  readonly #schedule: (f: () => void) => void;

  onWatch: () => void = () => {};

  constructor(schedule: (f: () => void) => void = soon) {
    this.#schedule = schedule;
  }

  get = (id: string): LogView => this.#views.get(id) ?? EMPTY;

  /** id → number of the last line held, as the socket asks for them. */
  watched(): Record<string, number> {
    return Object.fromEntries([...this.#watchers.keys()].map((id) => [id, this.get(id).last]));
  }

  subscribe = (id: string, wake: () => void): (() => void) => {
    const set = this.#watchers.get(id) ?? new Set();
    const isNew = set.size === 0;
    this.#watchers.set(id, set.add(wake));
    if (isNew) this.onWatch();
    return () => {
      set.delete(wake);
      if (set.size === 0 && this.#watchers.get(id) === set) {
        this.#watchers.delete(id);
        this.onWatch();
      }
    };
  };

  add(id: string, lines: readonly LogLine[]): void {
    const view = this.get(id);
    let next: LogLine[];
    if ((lines[0]?.n ?? 0) > view.last) {
      next = view.lines.concat(lines);
    } else {
      const byNumber = new Map(view.lines.map((line) => [line.n, line]));
      for (const line of lines) if (!byNumber.has(line.n)) byNumber.set(line.n, line);
      if (byNumber.size === view.lines.length) return;
      next = [...byNumber.values()].sort((a, b) => a.n - b.n);
    }
    if (next.length > LINES_MAX) next = next.slice(-LINES_MAX);
    this.#views.set(id, { lines: next, last: next.at(-1)?.n ?? 0 });
    this.#wake(id);
  }

  reset(): void {
    const ids = [...this.#views.keys()];
    this.#views.clear();
    for (const id of ids) this.#wake(id);
  }

  #wake(id: string): void {
    if (this.#waiting.has(id)) return;
    this.#waiting.add(id);
    this.#schedule(() => {
      this.#waiting.delete(id);
      for (const wake of [...(this.#watchers.get(id) ?? [])]) wake();
    });
  }
}
