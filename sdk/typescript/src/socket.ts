import { reconnectMs } from "./backoff.ts";
import { type ClientFrame, readFrame, type ServerFrame, type Watch } from "./frames.ts";
import type { LogStore } from "./logs.ts";
import type { Session } from "./session.ts";
import type { LiveStore } from "./store.ts";

export type ConnectionStatus = "live" | "reconnecting" | "polling" | "offline";

export type Connection = {
  status: ConnectionStatus;
  /** False until the first snapshot: "connecting" rather than "reconnecting". */
  wasLive: boolean;
  /** Round trip of the last ping. */
  lagMs: number | undefined;
};

/** What the socket needs of `WebSocket`; tests bring their own. */
export type SocketLike = {
  readonly readyState: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
};

export type SocketOptions = {
  url: string;
  store: LiveStore;
  logs: LogStore;
  session?: Session;
  /** Reads by HTTP what the socket would have told. Resolves false if that failed too. */
  poll?: () => Promise<boolean>;
  /** Ids the snapshot could not speak for: read them singly. */
  refetch?: (ids: string[]) => void;
  open?: (url: string, protocols: string[]) => SocketLike;
  random?: () => number;
  now?: () => number;
};

/** The most recent tasks a snapshot names besides the watched ones. */
export const RECENT = 100;
/** Ids one hello or watch names at most. */
export const WATCH_MAX = 500;
const WATCH_LOGS_MAX = 32;
export const POLL_EVERY_MS = 3_000;
/** So many handshakes in a row must fail before polling begins. */
export const POLL_AFTER_FAILURES = 2;
const HEARTBEAT_MS_DEFAULT = 25_000;
const PONG_WAIT_MS = 5_000;
const HOLE_WAIT_MS = 5_000;
const OPEN_WAIT_MS = 10_000;
const WATCH_DELAY_MS = 50;
/** The server reads tasks for each `watch` and takes only so many in a row. */
const WATCH_EVERY_MS = 500;
/** A connection that lasted this long has worked; a shorter one counts as another failure. */
const STABLE_MS = 5_000;
const CLOSE_TOKEN_EXPIRED = 4401;
/** Too slow, too many, or a rule broken: coming back at once would only repeat it. */
const CLOSE_LATER = new Set([1003, 1008, 1009, 1013]);
const LATER_FAILURES = 4;
const OPEN = 1;

type Timer = ReturnType<typeof setTimeout>;

/**
 * Keeps one socket per tab open for as long as the tab lives: says hello with the cursor, asks again on
 * a hole, renews the token after 4401, and never stops trying. While it cannot, it polls.
 */
export class LiveSocket {
  readonly #options: SocketOptions;
  readonly #now: () => number;
  readonly #random: () => number;
  #socket: SocketLike | undefined;
  #connection: Connection = { status: "reconnecting", wasLive: false, lagMs: undefined };
  readonly #watchers = new Set<() => void>();
  #running = false;
  #failures = 0;
  #openedAtMs = 0;
  #asked: ReadonlySet<string> = new Set();
  #heartbeatMs = HEARTBEAT_MS_DEFAULT;
  #pingAtMs = 0;
  #watchedAtMs = 0;
  #reconnectTimer: Timer | undefined;
  #openTimer: Timer | undefined;
  #pingTimer: Timer | undefined;
  #pongTimer: Timer | undefined;
  #holeTimer: Timer | undefined;
  #pollTimer: Timer | undefined;
  #watchTimer: Timer | undefined;
  #unlisten: () => void = () => {};

  constructor(options: SocketOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#random = options.random ?? Math.random;
  }

  getConnection = (): Connection => this.#connection;
  subscribe = (wake: () => void): (() => void) => {
    this.#watchers.add(wake);
    return () => this.#watchers.delete(wake);
  };

  start(): void {
    if (this.#running) return;
    this.#running = true;
    const { store, logs } = this.#options;
    store.onWatch = this.#watchLater;
    logs.onWatch = this.#watchLater;
    this.#unlisten = this.#listen();
    void this.#connect();
  }

  stop(): void {
    this.#running = false;
    this.#unlisten();
    this.#options.store.onWatch = () => {};
    this.#options.logs.onWatch = () => {};
    for (const timer of [this.#reconnectTimer, this.#pollTimer, this.#watchTimer]) clearTimeout(timer);
    this.#reconnectTimer = undefined;
    this.#letGo(1000);
  }

  /** A visible tab that wakes from sleep fires no `visibilitychange`, so all four are heard. */
  #listen(): () => void {
    if (typeof window === "undefined") return () => {};
    const back = () => this.#comeBack();
    const seen = () => {
      if (document.visibilityState === "visible") this.#comeBack();
    };
    const offline = () => this.#say({ status: "offline" });
    window.addEventListener("focus", back);
    window.addEventListener("pageshow", back);
    window.addEventListener("online", back);
    window.addEventListener("offline", offline);
    document.addEventListener("visibilitychange", seen);
    return () => {
      window.removeEventListener("focus", back);
      window.removeEventListener("pageshow", back);
      window.removeEventListener("online", back);
      window.removeEventListener("offline", offline);
      document.removeEventListener("visibilitychange", seen);
    };
  }

  #comeBack(): void {
    if (!this.#running) return;
    void this.#options.session?.freshen();
    if (this.#socket?.readyState === OPEN) {
      // Time asleep is no silence of the server's: ask, rather than count.
      this.#ping();
    } else {
      this.#connectNow();
    }
  }

  /** Cuts a waiting backoff short. */
  #connectNow(): void {
    if (this.#reconnectTimer === undefined) return;
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = undefined;
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const { session } = this.#options;
    if (session?.hasExpired()) await session.renew();
    else await session?.freshen();
    if (!this.#running || this.#socket) return;
    let socket: SocketLike;
    try {
      socket = (this.#options.open ?? openSocket)(this.#options.url, ["tt.v1"]);
    } catch {
      this.#retry();
      return;
    }
    this.#socket = socket;
    this.#openedAtMs = this.#now();
    this.#openTimer = setTimeout(() => this.#fail(socket), OPEN_WAIT_MS);
    socket.onopen = () => {
      if (socket === this.#socket) this.#hello(this.#options.store.cursor);
    };
    socket.onmessage = (event) => {
      if (socket !== this.#socket) return;
      const frame = readFrame(event.data);
      if (frame) this.#take(frame);
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) void this.#closed(event.code);
    };
    socket.onerror = () => {};
  }

  #take(frame: ServerFrame): void {
    const { store, logs, session } = this.#options;
    switch (frame.t) {
      case "welcome":
        this.#heartbeatMs = frame.heartbeat_ms > 0 ? frame.heartbeat_ms : HEARTBEAT_MS_DEFAULT;
        if (frame.expires_at) session?.learnExpiry(frame.expires_at);
        this.#alive();
        return;
      case "snapshot": {
        this.#filled();
        const unsure = store.applySnapshot(frame, this.#asked);
        if (unsure.length) this.#options.refetch?.(unsure);
        this.#alive();
        return;
      }
      case "events": {
        const applied = store.applyEvents(frame);
        if (applied === "hole") this.#askAgain();
        else if (applied === "applied") this.#filled();
        return;
      }
      case "progress":
        store.applyProgress(frame);
        return;
      case "log":
        logs.add(frame.task, frame.lines);
        return;
      case "counts":
        store.applyCounts(frame.counts);
        return;
      case "reset":
        // A snapshot follows; until it is here, what we show stays.
        store.cursor = null;
        return;
      case "pong":
        clearTimeout(this.#pongTimer);
        this.#pongTimer = undefined;
        this.#say({ lagMs: this.#now() - this.#pingAtMs });
        // The network came back and the socket had never noticed.
        this.#alive();
        return;
      default:
        return;
    }
  }

  #hello(cursor: string | null): void {
    const watch = this.#watch();
    this.#asked = new Set(watch.tasks);
    this.#send({ t: "hello", v: 1, cursor, watch: { recent: RECENT, ...watch } });
  }

  /** Something was lost on the way: ask once for what came after the cursor, then for everything. */
  #askAgain(): void {
    if (this.#holeTimer !== undefined) return;
    this.#hello(this.#options.store.cursor);
    this.#holeTimer = setTimeout(() => {
      this.#holeTimer = undefined;
      this.#hello(null);
    }, HOLE_WAIT_MS);
  }
  #filled(): void {
    clearTimeout(this.#holeTimer);
    this.#holeTimer = undefined;
  }

  #watch(): Watch {
    const logs = Object.entries(this.#options.logs.watched()).slice(0, WATCH_LOGS_MAX);
    return { tasks: this.#options.store.watched().slice(0, WATCH_MAX), logs: Object.fromEntries(logs) };
  }
  #watchLater = (): void => {
    if (this.#watchTimer !== undefined) return;
    const waitMs = Math.max(WATCH_DELAY_MS, this.#watchedAtMs + WATCH_EVERY_MS - this.#now());
    this.#watchTimer = setTimeout(() => {
      this.#watchTimer = undefined;
      this.#watchedAtMs = this.#now();
      if (this.#connection.status === "live") this.#send({ t: "watch", ...this.#watch() });
    }, waitMs);
  };

  #alive(): void {
    clearTimeout(this.#openTimer);
    clearTimeout(this.#pollTimer);
    this.#pollTimer = undefined;
    this.#say({ status: "live", wasLive: true });
    if (this.#pingTimer === undefined) this.#pingLater();
  }

  #pingLater(): void {
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => {
      this.#ping();
      this.#pingLater();
    }, this.#heartbeatMs);
  }
  #ping(): void {
    const socket = this.#socket;
    if (!socket || this.#pongTimer !== undefined) return;
    this.#pingAtMs = this.#now();
    this.#send({ t: "ping" });
    this.#pongTimer = setTimeout(() => {
      this.#pongTimer = undefined;
      this.#fail(socket);
    }, PONG_WAIT_MS);
  }

  #send(frame: ClientFrame): void {
    if (this.#socket?.readyState === OPEN) this.#socket.send(JSON.stringify(frame));
  }

  /** Does not wait for a close that a dead connection will not send. */
  #fail(socket: SocketLike): void {
    if (socket === this.#socket) void this.#closed(1006);
  }

  async #closed(code: number): Promise<void> {
    const openedAtMs = this.#openedAtMs;
    const wasLive = this.#connection.status === "live";
    if (wasLive && this.#now() - openedAtMs >= STABLE_MS) this.#failures = 0;
    if (CLOSE_LATER.has(code)) this.#failures = Math.max(this.#failures, LATER_FAILURES);
    this.#letGo(1000);
    if (!this.#running) return;
    if (wasLive) this.#say({ status: "reconnecting" });
    if (code === CLOSE_TOKEN_EXPIRED) {
      const { session } = this.#options;
      // The token may have been renewed while this socket still lived on the old one.
      const renewal = session && session.renewedAtMs <= openedAtMs ? await session.renew() : ("renewed" as const);
      if (!this.#running) return;
      if (renewal === "renewed" && wasLive) {
        void this.#connect();
        return;
      }
    }
    this.#retry();
  }

  #letGo(code: number): void {
    for (const timer of [this.#openTimer, this.#pingTimer, this.#pongTimer, this.#holeTimer]) {
      clearTimeout(timer);
    }
    this.#pingTimer = undefined;
    this.#pongTimer = undefined;
    this.#holeTimer = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    try {
      socket.close(code);
    } catch {
      // It was never open; there is nothing left to close.
    }
  }

  #retry(): void {
    this.#failures += 1;
    if (typeof navigator !== "undefined" && navigator.onLine === false) this.#say({ status: "offline" });
    else if (this.#failures >= POLL_AFTER_FAILURES) this.#pollSoon(0);
    clearTimeout(this.#reconnectTimer);
    this.#reconnectTimer = setTimeout(
      () => {
        this.#reconnectTimer = undefined;
        void this.#connect();
      },
      reconnectMs(this.#failures, this.#random),
    );
  }

  #pollSoon(inMs: number): void {
    const { poll } = this.#options;
    if (!poll || this.#pollTimer !== undefined) return;
    const timer = setTimeout(async () => {
      const answered = await poll().catch(() => false);
      if (this.#pollTimer !== timer || !this.#running) return;
      this.#pollTimer = undefined;
      const back = answered && this.#connection.status === "offline";
      this.#say({ status: answered ? "polling" : "offline" });
      this.#pollSoon(POLL_EVERY_MS);
      // The server answers again, so the socket need not wait out its backoff.
      if (back) this.#connectNow();
    }, inMs);
    this.#pollTimer = timer;
  }

  #say(change: Partial<Connection>): void {
    const next = { ...this.#connection, ...change };
    const { status, wasLive, lagMs } = this.#connection;
    if (next.status === status && next.wasLive === wasLive && next.lagMs === lagMs) return;
    this.#connection = next;
    for (const wake of [...this.#watchers]) wake();
  }
}

function openSocket(url: string, protocols: string[]): SocketLike {
  return new WebSocket(url, protocols);
}
