import type { EventsFrame, LoggedEvent, ProgressFrame, SnapshotFrame, TaskPatch } from "./frames.ts";
import { canEdit, canTryAgain } from "./states.ts";
import type { Counts, Task, TaskStatus, TaskSummary } from "./types.ts";

type Wake = () => void;

/** Patches of tasks we have not met, kept so that a page rendered before them does not undo them. */
const STRANGERS_MAX = 512;
const TOMBSTONES_MAX = 4_096;
/** A tab in the background has no animation frames: this many ms later we go on without one. */
const FRAME_WAIT_MS = 250;

/** Runs `f` at the next animation frame or after 250 ms, whichever comes first. */
export function soon(f: () => void): void {
  let ran = false;
  const once = () => {
    if (ran) return;
    ran = true;
    clearTimeout(timer);
    f();
  };
  const timer = setTimeout(once, FRAME_WAIT_MS);
  if (typeof requestAnimationFrame === "function") requestAnimationFrame(once);
}

export type Applied = "applied" | "repeated" | "hole" | "other_epoch";

/** The fields by which a list decides what it shows; all others change only the row itself. */
const sameForLists = (a: Task, b: Task) =>
  a.status === b.status && a.kind === b.kind && a.tags === b.tags && a.created_at === b.created_at;

/**
 * One user's tasks as this tab knows them. Frames come in, subscribers are woken at most once per
 * animation frame. It never talks to the network: `socket.ts` feeds it, and asks again on a hole.
 */
export class LiveStore {
  epoch = 0;
  seq = 0;
  cursor: string | null = null;
  counts: Counts | undefined;

  readonly #tasks = new Map<string, Task>();
  /** id → rev at removal, so that a late frame cannot bring the task back. */
  readonly #gone = new Map<string, number>();
  readonly #strangers = new Map<string, TaskPatch>();
  readonly #watchers = new Map<string, Set<Wake>>();
  readonly #listWatchers = new Set<Wake>();
  readonly #countWatchers = new Set<Wake>();
  readonly #endWatchers = new Set<(task: Task, before: Task) => void>();
  readonly #dirty = new Set<string>();
  #listDirty = false;
  #countsDirty = false;
  #listVersion = 0;
  #scheduled = false;
  readonly #schedule: (f: () => void) => void;

  /** Called when the set of watched ids changed. */
  onWatch: () => void = () => {};

  constructor(schedule: (f: () => void) => void = soon) {
    this.#schedule = schedule;
  }

  get = (id: string): Task | undefined => this.#tasks.get(id);
  isGone = (id: string): boolean => this.#gone.has(id);
  all = (): IterableIterator<Task> => this.#tasks.values();
  getCounts = (): Counts | undefined => this.counts;
  /** Rises when a task appears, leaves or changes its place in a list; progress does not touch it. */
  listVersion = (): number => this.#listVersion;
  watched = (): string[] => [...this.#watchers.keys()];

  subscribe = (id: string, wake: Wake): (() => void) => {
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
  subscribeList = (wake: Wake): (() => void) => {
    this.#listWatchers.add(wake);
    return () => this.#listWatchers.delete(wake);
  };
  subscribeCounts = (wake: Wake): (() => void) => {
    this.#countWatchers.add(wake);
    return () => this.#countWatchers.delete(wake);
  };
  /** Told once when a task we saw alive ends. */
  subscribeEnds = (told: (task: Task, before: Task) => void): (() => void) => {
    this.#endWatchers.add(told);
    return () => this.#endWatchers.delete(told);
  };

  /**
   * What the server rendered or an HTTP call returned goes *into* the store. It is no fallback: a task
   * that was removed stays removed, and what the socket said later stays said.
   */
  seed(task: Task): void {
    this.#put(task);
    this.#wake();
  }
  seedCounts(counts: Counts): void {
    if (!this.counts) this.counts = counts;
  }

  /** `asked`: the ids the socket watched when it said hello; such a one that is absent does not exist. */
  applySnapshot(frame: SnapshotFrame, asked: ReadonlySet<string> = new Set()): string[] {
    const renewed = frame.epoch !== this.epoch;
    const named = new Set(frame.tasks.map((task) => task.id));
    const unsure: string[] = [];
    for (const id of [...this.#tasks.keys()]) {
      if (named.has(id)) {
        if (renewed) this.#forgetRev(id);
      } else if (renewed || asked.has(id) || !this.#watchers.has(id)) {
        this.#drop(id);
        if (renewed && this.#watchers.has(id) && !asked.has(id)) unsure.push(id);
      } else {
        unsure.push(id);
      }
    }
    if (renewed) {
      this.#gone.clear();
      this.#strangers.clear();
    }
    this.seq = renewed ? frame.seq : Math.max(this.seq, frame.seq);
    this.epoch = frame.epoch;
    this.cursor = frame.cursor;
    for (const task of frame.tasks) this.#put(task);
    if (frame.counts) this.applyCounts(frame.counts);
    this.#wake();
    return unsure;
  }

  applyEvents(frame: EventsFrame): Applied {
    if (frame.epoch !== this.epoch) return "other_epoch";
    if (frame.seq <= this.seq) return "repeated";
    if (frame.seq > this.seq + 1) return "hole";
    this.seq = frame.seq;
    this.cursor = frame.cursor;
    for (const event of frame.events) this.#patch(asPatch(event));
    this.#wake();
    return "applied";
  }

  applyProgress(frame: ProgressFrame): Applied {
    if (frame.epoch !== this.epoch) return "other_epoch";
    for (const patch of frame.patches) this.#patch(patch);
    this.#wake();
    return "applied";
  }

  /** What polling read, while there is no socket: newer revs win, nothing is dropped. */
  applyPolled(tasks: Task[], counts?: Counts): void {
    for (const task of tasks) this.#put(task);
    if (counts) this.applyCounts(counts);
    this.#wake();
  }

  applyCounts(counts: Counts): void {
    this.counts = counts;
    this.#countsDirty = true;
    this.#wake();
  }

  remove(id: string, rev: number): void {
    this.#bury(id, rev);
    this.#wake();
  }

  /** Another user signed in: nothing of the one before may stay. */
  reset(): void {
    for (const id of [...this.#tasks.keys()]) this.#drop(id);
    this.#gone.clear();
    this.#strangers.clear();
    this.epoch = 0;
    this.seq = 0;
    this.cursor = null;
    this.counts = undefined;
    this.#countsDirty = true;
    this.#wake();
  }

  #patch(patch: TaskPatch): void {
    if (patch.removed) {
      this.#bury(patch.id, patch.rev ?? Number.MAX_SAFE_INTEGER);
      return;
    }
    const old = this.#tasks.get(patch.id);
    const { cancel_requested: asked, ...fields } = patch;
    if (!old) {
      if (isWhole(fields)) this.#put(fields);
      else this.#meet(patch);
      return;
    }
    if (asked && fields.rev === undefined) {
      if (old.status === "running") this.#replace(old, { ...old, status: "cancelling" });
      return;
    }
    if (fields.rev === undefined || fields.rev <= old.rev) return;
    // The time a task waited for is over once it waits for it no more, and a patch does not say so.
    const due = canEdit(old.status) && fields.run_at === undefined ? { run_at: null } : {};
    const next = stillAsked(old, { ...old, ...due, ...fields, rev: fields.rev });
    // What changes a task that no worker has names the labels only if it may have brought another payload.
    if (mayGetAnother(old.status) && fields.tags !== undefined && next.payload !== undefined) delete next.payload;
    this.#replace(old, next);
  }

  #meet(patch: TaskPatch): void {
    const known = this.#strangers.get(patch.id);
    if (known && (known.rev ?? 0) >= (patch.rev ?? 0)) return;
    this.#strangers.delete(patch.id);
    this.#strangers.set(patch.id, { ...known, ...patch });
    trim(this.#strangers, STRANGERS_MAX);
  }

  #put(task: Task): void {
    const removed = this.#gone.get(task.id);
    if (removed !== undefined && removed >= task.rev) return;
    const old = this.#tasks.get(task.id);
    if (old) {
      // A whole record is at least as right as what patches made of an earlier one at the same rev.
      const [newer, older] = task.rev >= old.rev ? [task, old] : [old, task];
      const next = fill(stillAsked(older, newer), older);
      if (!same(old, next)) this.#replace(old, next);
      return;
    }
    const stranger = this.#strangers.get(task.id);
    this.#strangers.delete(task.id);
    this.#tasks.set(task.id, task);
    this.#dirty.add(task.id);
    this.#listDirty = true;
    if (stranger) this.#patch(stranger);
  }

  #replace(old: Task, task: Task): void {
    this.#tasks.set(task.id, task);
    this.#dirty.add(task.id);
    if (!sameForLists(old, task)) this.#listDirty = true;
    if (ENDS.has(task.status) && !ENDS.has(old.status)) {
      for (const told of this.#endWatchers) told(task, old);
    }
  }

  #bury(id: string, rev: number): void {
    const old = this.#tasks.get(id);
    if (old && old.rev > rev) return;
    this.#gone.set(id, rev);
    this.#strangers.delete(id);
    trim(this.#gone, TOMBSTONES_MAX);
    this.#drop(id);
    this.#dirty.add(id);
  }

  #drop(id: string): void {
    if (this.#tasks.delete(id)) {
      this.#dirty.add(id);
      this.#listDirty = true;
    }
  }

  /** Revs of another epoch say nothing; output and policy stay true, and so does a payload that a worker had. */
  #forgetRev(id: string): void {
    const old = this.#tasks.get(id);
    if (old) this.#tasks.set(id, { ...old, rev: -1 });
  }

  #wake(): void {
    if (this.#scheduled || !(this.#dirty.size || this.#listDirty || this.#countsDirty)) return;
    this.#scheduled = true;
    this.#schedule(() => {
      this.#scheduled = false;
      const ids = [...this.#dirty];
      const lists = this.#listDirty;
      const counts = this.#countsDirty;
      this.#dirty.clear();
      this.#listDirty = false;
      this.#countsDirty = false;
      if (lists) this.#listVersion += 1;
      for (const id of ids) for (const wake of [...(this.#watchers.get(id) ?? [])]) wake();
      if (lists) for (const wake of [...this.#listWatchers]) wake();
      if (counts) for (const wake of [...this.#countWatchers]) wake();
    });
  }
}

const ENDS: ReadonlySet<string> = new Set(["completed", "cancelled", "failed"]);

const asPatch = (event: LoggedEvent): TaskPatch => ("task" in event ? event.task : event);

const isWhole = (patch: Partial<Task>): patch is TaskSummary =>
  typeof patch.kind === "string" && typeof patch.created_at === "string" && typeof patch.rev === "number";

/**
 * Asking a running task to stop changes no rev, and is not taken back while its attempt lasts. So what
 * either record knows of it is kept: `newer`, or `newer` as cancelling.
 */
function stillAsked(other: Task, newer: Task): Task {
  const same = other.attempt === newer.attempt && other.started_at === newer.started_at;
  return same && other.status === "cancelling" && newer.status === "running"
    ? { ...newer, status: "cancelling" }
    : newer;
}

/**
 * `newer` with the payload, policy and output that only `older` knows. A policy never changes, and a payload not while
 * a worker has it nor once it completed; an edit may lie between the two otherwise. An output is kept only while the newer record still
 * has one. Gives `newer` itself when there is nothing to add.
 */
function fill(newer: Task, older: Task): Task {
  const edited = mayGetAnother(older.status) && newer.rev !== older.rev;
  const payload = newer.payload === undefined && older.payload !== undefined && !edited;
  const policy = newer.policy === undefined && older.policy !== undefined;
  const output = newer.output == null && older.output != null && newer.has_output;
  if (!payload && !policy && !output) return newer;
  return {
    ...newer,
    ...(payload ? { payload: older.payload } : {}),
    ...(policy ? { policy: older.policy } : {}),
    ...(output ? { output: older.output } : {}),
  } as Task;
}

/** Whether a task may get another payload: by an edit while it waits, or when it is tried again. */
const mayGetAnother = (status: TaskStatus): boolean => canEdit(status) || canTryAgain(status);

/** Whether nothing changed, so that nobody needs to be woken. */
function same(a: Task, b: Task): boolean {
  if (a === b) return true;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof Task>;
  for (const key of keys) {
    const [one, other] = [a[key], b[key]];
    if (one === other) continue;
    if (typeof one !== "object" || typeof other !== "object") return false;
    if (JSON.stringify(one) !== JSON.stringify(other)) return false;
  }
  return true;
}

function trim<V>(map: Map<string, V>, max: number): void {
  for (const key of map.keys()) {
    if (map.size <= max) return;
    map.delete(key);
  }
}
