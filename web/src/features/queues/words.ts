import type { OwnQueue, Pause, Turns } from "@tasktonic/client";
import { count } from "@/lib/format";
import type { Lane } from "./read";

/** How a queue is for one person: the engine's own order of what stands in the way. */
export type QueueState =
  | "queue_paused"
  | "operator_paused"
  | "user_paused"
  | "user_paused_in_queue"
  | "no_worker"
  | "open";

export function stateOf(queue: OwnQueue, pause: Pause): QueueState {
  if (queue.paused) return "queue_paused";
  if (pause.by_operator) return "operator_paused";
  if (pause.by_user) return "user_paused";
  if (queue.paused_for_you) return "user_paused_in_queue";
  return queue.kinds.length > 0 && !queue.served ? "no_worker" : "open";
}

export const STATE_WORDS: Record<QueueState, { label: string; says: string }> = {
  queue_paused: {
    label: "Paused for everybody",
    says: "Nothing here is started until an operator lets the queue go on. What runs goes on; new tasks are accepted and keep their order.",
  },
  operator_paused: {
    label: "Your work is paused",
    says: "Whoever runs this installation has paused all your work. Ask them to resume it.",
  },
  user_paused: { label: "You paused your work", says: "Nothing of yours is started until you resume your work." },
  user_paused_in_queue: {
    label: "Paused for you",
    says: "Whoever runs this installation has paused your tasks in this queue. Ask them to resume them.",
  },
  no_worker: {
    label: "No worker",
    says: "No worker that knows its kinds is at work now. What waits starts by itself as soon as one comes.",
  },
  open: { label: "Open", says: "Tasks are started as workers have room; people take turns." },
};

/** What a state means in this queue. */
export const saysOf = (state: QueueState, turns: Turns = "count"): string =>
  state === "open" && turns === "run_time"
    ? "Tasks are started as workers have room; people share the time of the workers."
    : STATE_WORDS[state].says;

/** `3 waiting, 1 running`, or undefined where there is none. */
export function laneWords({ waiting, running }: Lane, more = false): string | undefined {
  const some = (n: number, what: string) => (n > 0 ? `${count(n)}${more ? "+" : ""} ${what}` : "");
  return [some(waiting, "waiting"), some(running, "running")].filter(Boolean).join(", ") || undefined;
}

/** `4 people wait, 1 of them paused`. */
export function peopleWords({ users_waiting, users_held_back }: { users_waiting: number; users_held_back: number }) {
  const all = users_waiting + users_held_back;
  if (all === 0) return "Nobody waits";
  const who = all === 1 ? "1 person waits" : `${count(all)} people wait`;
  return users_held_back > 0 ? `${who}, ${count(users_held_back)} held back` : who;
}

/** A person's share of a queue, in what people share there. */
export function turnsWords(weight: number, turns: Turns = "count"): string {
  if (turns === "run_time")
    return weight === 1 ? "As much time as the others" : `${count(weight)} times the time of others`;
  return weight === 1 ? "1 turn in each round" : `${count(weight)} turns in each round`;
}
