import type { ApiClient } from "./http.ts";
import { LogStore } from "./logs.ts";
import type { Session } from "./session.ts";
import { LiveSocket, RECENT, type SocketOptions } from "./socket.ts";
import { LiveStore } from "./store.ts";

export type LiveOptions = {
  /** `/ws`, or a whole `wss://` address. */
  url?: string;
  api: ApiClient;
  session?: Session;
} & Pick<SocketOptions, "open" | "random" | "now">;

/** Watched tasks polled singly at a time: the recent ones come in one list anyway. */
const SINGLES_MAX = 20;

/** One user's live tasks: the store, the log lines, the socket that feeds them, and HTTP beneath. */
export class Live {
  readonly api: ApiClient;
  readonly store = new LiveStore();
  readonly logs = new LogStore();
  readonly socket: LiveSocket;
  readonly session: Session | undefined;

  constructor(options: LiveOptions) {
    this.api = options.api;
    this.session = options.session;
    this.socket = new LiveSocket({
      ...options,
      url: socketUrl(options.url ?? "/ws"),
      store: this.store,
      logs: this.logs,
      poll: () => this.poll(),
      refetch: (ids) => void this.refetch(ids),
    });
  }

  start(): void {
    this.session?.start();
    this.socket.start();
  }
  stop(): void {
    this.socket.stop();
    this.session?.stop();
  }

  /** Reads a whole task, payload and output included, into the store. */
  async read(id: string): Promise<void> {
    this.store.seed(await this.api.task(id));
  }

  async refetch(ids: string[]): Promise<void> {
    for (const id of ids) {
      try {
        await this.read(id);
      } catch (error) {
        this.#forgetIfGone(id, error);
      }
    }
  }

  /** One round of reading by HTTP instead of the socket. */
  async poll(): Promise<boolean> {
    try {
      const [page, counts] = await Promise.all([this.api.tasks({}, { limit: RECENT }), this.api.counts()]);
      this.store.applyPolled(page.tasks, counts);
      const listed = new Set(page.tasks.map((task) => task.id));
      const singles = this.store.watched().filter((id) => !listed.has(id));
      await this.refetch(singles.slice(0, SINGLES_MAX));
      for (const [id, after] of Object.entries(this.logs.watched())) {
        this.logs.add(id, (await this.api.logs(id, after)).lines);
      }
      return true;
    } catch {
      return false;
    }
  }

  #forgetIfGone(id: string, error: unknown): void {
    const status = typeof error === "object" && error && "status" in error ? error.status : undefined;
    const known = this.store.get(id);
    if (status === 404 && known) this.store.remove(id, known.rev);
  }
}

/** A path of this origin as a socket address. */
export function socketUrl(url: string): string {
  if (/^wss?:/.test(url) || typeof location === "undefined") return url;
  return new URL(url, location.href.replace(/^http/, "ws")).href;
}
