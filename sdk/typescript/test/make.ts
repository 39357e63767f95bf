import type { EventsFrame, SnapshotFrame, TaskPatch } from "../src/frames.ts";
import type { SocketLike } from "../src/socket.ts";
import type { TaskSummary } from "../src/types.ts";

export const REV = 100_000_000;

export function aTask(id: string, over: Partial<TaskSummary> = {}): TaskSummary {
  return {
    id,
    kind: "images.resize",
    queue: "images.resize",
    status: "queued",
    state: "queued",
    attempt: 0,
    attempts_max: 5,
    rev: REV,
    progress: null,
    error: null,
    reason: null,
    tags: [],
    idempotency_key: null,
    worker: null,
    created_at: "2026-11-01T10:00:00.000Z",
    run_at: null,
    started_at: null,
    ended_at: null,
    updated_at: "2026-11-01T10:00:00.000Z",
    timeout_ms: null,
    has_output: false,
    ...over,
  };
}

export const aSnapshot = (epoch: number, seq: number, tasks: TaskSummary[]): SnapshotFrame => ({
  t: "snapshot",
  epoch,
  seq,
  cursor: `${epoch}-${seq}`,
  tasks,
  counts: {
    all: tasks.length,
    scheduled: 0,
    waiting: 0,
    queued: tasks.length,
    running: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
    bytes: 0,
  },
});

export const someEvents = (epoch: number, seq: number, ...patches: TaskPatch[]): EventsFrame => ({
  t: "events",
  epoch,
  seq,
  cursor: `${epoch}-${seq}`,
  events: patches.map((task) => ({ task })),
});

/** Runs what the store schedules only when told to, as an animation frame would. */
export function handCrank() {
  const queue: (() => void)[] = [];
  return {
    schedule: (f: () => void) => void queue.push(f),
    turn: () => {
      for (const f of queue.splice(0)) f();
    },
  };
}

/** A socket whose other end is the test. */
export class FakeSocket implements SocketLike {
  static all: FakeSocket[] = [];
  static open = (url: string, protocols: string[]): FakeSocket => {
    const socket = new FakeSocket(url, protocols);
    FakeSocket.all.push(socket);
    return socket;
  };
  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (!socket) throw new Error("no socket was opened");
    return socket;
  }
  readyState = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  readonly sent: Record<string, unknown>[] = [];
  readonly url: string;
  readonly protocols: string[];
  constructor(url: string, protocols: string[]) {
    this.url = url;
    this.protocols = protocols;
  }
  send(data: string): void {
    this.sent.push(JSON.parse(data));
  }
  close(): void {
    this.readyState = 3;
  }
  accept(): void {
    this.readyState = 1;
    this.onopen?.(new Event("open"));
  }
  say(frame: object): void {
    this.onmessage?.(new MessageEvent("message", { data: JSON.stringify(frame) }));
  }
  drop(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code } as CloseEvent);
  }
  hellos(): Record<string, unknown>[] {
    return this.sent.filter((frame) => frame.t === "hello");
  }
}
export const WELCOME = { t: "welcome", v: 1, user: "ana", expires_at: "2026-11-01T11:00:00Z", heartbeat_ms: 25_000 };
