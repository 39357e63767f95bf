/** Queues, what is set of them and of people there, and why a task does not run. */

/** What holds for everybody in a queue. */
export type QueueSettings = {
  paused: boolean;
  /** Waiting tasks of one user, scheduled ones included; absent: the server's own limit. */
  waiting_max?: number;
};

export type QueueInfo = QueueSettings & {
  queue: string;
  /** Kinds whose tasks wait there unless a submission says otherwise. */
  kinds: string[];
  /** Users with work there who take turns. */
  users_waiting: number;
  /** Users with work there who get no turn because of what is set of them there. */
  users_held_back: number;
};

export type QueueList = {
  queues: QueueInfo[];
  /** Users all of whose work is paused; the first thousand. */
  paused_users: PausedUser[];
  more_paused_users?: boolean;
};

/** What is set of a user in a queue. */
export type QueueUser = {
  user: string;
  /** Turns for one of the others. */
  weight: number;
  paused: boolean;
  waiting_max?: number;
};

export type QueueDetail = QueueInfo & {
  /** Users of whom anything is set there; the first thousand. */
  users: QueueUser[];
  more_users?: boolean;
};

/** What is absent stays, `null` is the default again. */
export type QueueChange = {
  paused?: boolean;
  waiting_max?: number | null;
};

/** What is absent stays, `null` is the default again. */
export type QueueUserChange = {
  user: string;
  weight?: number;
  paused?: boolean;
  waiting_max?: number | null;
};

/** Whether anything of a user is handed out, in whatever queue. What runs goes on. */
export type Pause = {
  paused: boolean;
  by_user: boolean;
  by_operator: boolean;
};

export type PausedUser = {
  user: string;
  by_user: boolean;
  by_operator: boolean;
};

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
};

export type OwnQueueList = { queues: OwnQueue[]; pause: Pause };

/** What stands in a task's way; `turn` is nothing but its turn. */
export type WhyReason =
  | "ended"
  | "running"
  | "scheduled"
  | "waiting"
  | "serial_key"
  | "queue_paused"
  | "operator_paused"
  | "user_paused"
  | "user_paused_in_queue"
  | "no_worker"
  | "no_worker_with_label"
  | "turn";

/** Why a task does not run. */
export type Why = {
  reason: WhyReason;
  /** The same in a sentence. */
  text: string;
  /** Only for one that is scheduled. */
  run_at?: string;
  /** The task whose turn it is. Only for one that waits for another of its serial key. */
  behind?: string;
  /** Users who take turns where it waits, its own among them. */
  users_waiting?: number;
  /** The labels that are missing where no worker has what it needs. */
  labels?: string[];
};
