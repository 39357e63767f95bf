/** What holds for everybody in a queue. */
export type QueueSettings = {
  paused: boolean;
  /** Waiting tasks of one user, scheduled ones included; absent: the server's own limit. */
  waiting_max?: number;
  /** Tasks of one user that run at once; absent: as many as workers have room for. */
  running_max?: number;
  /** How many tasks of one user start in which time; absent: as many as workers take. */
  rate?: Rate;
  /** Tasks that run at once, over all users; absent: as many as workers have room for. */
  running_total_max?: number;
  /** How many tasks start in which time, over all users; absent: as many as workers take. */
  rate_total?: Rate;
  /** What users share: as many tasks as their weights say, or as much of the workers' time; absent for `count`. */
  turns?: Turns;
};

export type Turns = "count" | "run_time";

/** `tasks` in each `per_ms`, and `burst` of them at once when none has started for a while. */
export type Rate = { tasks: number; per_ms: number; burst: number };

/** A rate to be set; without a `burst` it is as many as `tasks`. */
export type RateChange = { tasks: number; per_ms: number; burst?: number };

export type QueueInfo = QueueSettings & {
  queue: string;
  /** Kinds whose tasks wait there unless a submission says otherwise. */
  kinds: string[];
  /** Users with work there who take turns. */
  users_waiting: number;
  /** Users with work there who get no turn because of what is set of them there. */
  users_held_back: number;
  /** Tasks that run there, over all users; only where `running_total_max` is set. */
  running_total?: number;
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
  /** How many tasks of theirs may run there at once; absent: what holds for everybody. */
  running_max?: number;
  /** How many tasks of theirs start there in which time; absent: what holds for everybody. */
  rate?: Rate;
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
  running_max?: number | null;
  rate?: RateChange | null;
  /** Tasks that run at once, over all users, 1 to 100,000. */
  running_total_max?: number | null;
  /** How many tasks start in which time, over all users. */
  rate_total?: RateChange | null;
  turns?: Turns;
};

/** What is absent stays, `null` is the default again. */
export type QueueUserChange = {
  user: string;
  weight?: number;
  paused?: boolean;
  waiting_max?: number | null;
  running_max?: number | null;
  rate?: RateChange | null;
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
