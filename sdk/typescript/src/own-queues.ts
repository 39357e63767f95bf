import type { Rate, Turns } from "./queue-types.ts";
import type { Pause } from "./types.ts";

/** A queue, and what holds for you there. */
export type OwnQueue = {
  queue: string;
  /** Kinds whose tasks wait there unless a submission says otherwise. */
  kinds: string[];
  /** Whether a worker that is at work knows one of these kinds, and has the labels of the queue. */
  served: boolean;
  /** It is paused for everybody. */
  paused: boolean;
  /** You are paused there, by whoever runs the installation. */
  paused_for_you: boolean;
  /** Your turns for one of the others. */
  weight: number;
  /** How many of your tasks may wait there, scheduled ones included. */
  waiting_max: number;
  /** How many of your tasks may run there at once; absent: as many as workers have room for. */
  running_max?: number;
  /** How many of your tasks start there in which time; absent: as many as workers take. */
  rate?: Rate;
  /** What users share there: as many tasks as their weights say, or as much of the workers' time; absent for `count`. */
  turns?: Turns;
};

export type OwnQueueList = { queues: OwnQueue[]; pause: Pause };
