import type { Why, WhyReason } from "@tasktonic/client";
import { labelsOf } from "@/features/queues/names";
import { count, duration } from "@/lib/format";

/** What a person can do about it, from the page of the task. */
export type Cure = "resume" | "queue" | "queues" | "task";
export type WhyWords = {
  title: string;
  text: string;
  cures: Cure[];
  /** The task that goes first. */
  behind?: string;
  /** For whoever runs the installation. */
  command?: string;
  /** It is as it should be, and passes by itself. */
  calm?: boolean;
};
/** What is looked at of a task. */
export type Asked = { kind: string; queue: string };

/** What some reasons tell beside the sentence. */
type Told = Why & { running?: number; running_max?: number; good_in_ms?: number };
type Say = (task: Asked, why: Told) => WhyWords;

/** Reasons for which the page has a word already: what runs, what has ended, what waits for its time or its turn. */
type Plain = "ended" | "running" | "scheduled" | "waiting" | "turn";
const PLAIN: Record<Plain, true> = { ended: true, running: true, scheduled: true, waiting: true, turn: true };

const KEEPS = "Your task keeps its place meanwhile.";

/** All other reasons, in plain words, with what to do: one without does not compile. */
const IN_THE_WAY: Record<Exclude<WhyReason, Plain>, Say> & Record<string, Say> = {
  serial_key: (_, { behind }) => ({
    title: "Another task of the same serial key goes first",
    text: "Tasks of one serial key run one at a time, in order. It starts when that one has ended.",
    cures: behind ? ["task"] : [],
    ...(behind ? { behind } : {}),
    calm: true,
  }),
  queue_paused: ({ queue }) => ({
    title: "Its queue is paused",
    text: `Nothing in ${queue} is started, for anybody, until whoever runs this installation lets it go on. ${KEEPS}`,
    cures: ["queue"],
  }),
  operator_paused: () => ({
    title: "All your work is paused",
    text: `Whoever runs this installation has paused it: ask them to resume it. ${KEEPS}`,
    cures: ["queues"],
  }),
  user_paused: () => ({
    title: "You have paused all your work",
    text: `It starts after you resume it. ${KEEPS}`,
    cures: ["resume", "queues"],
  }),
  user_paused_in_queue: ({ queue }) => ({
    title: "Your tasks in this queue are paused",
    text: `Whoever runs this installation has paused them in ${queue}: ask them to resume them. ${KEEPS}`,
    cures: ["queue"],
  }),
  no_worker: ({ kind }) => ({
    title: "No worker for it is at work",
    text: "It starts by itself as soon as one comes that knows its kind. Who runs this installation starts one with",
    cures: ["queue"],
    command: `tasktonic work --kinds ${kind}`,
  }),
  no_worker_with_label: ({ kind, queue }, { text }) => ({
    title: "No worker has what it needs",
    text: `${text} It starts by itself as soon as one comes. Who runs this installation starts one with`,
    cures: ["queue"],
    command: ["tasktonic work --kinds", kind, ...labelsOf(queue).map((label) => `--label ${label}`)].join(" "),
  }),
  no_worker_with_places: ({ kind }, { text, places }) => ({
    title: "No worker is large enough for it",
    text: `${text} It starts by itself as soon as one comes. Who runs this installation starts one with`,
    cures: ["queue"],
    command: ["tasktonic work --kinds", kind, ...(places === undefined ? [] : ["--concurrency", places])].join(" "),
  }),
  user_limit: ({ queue }, { running, running_max }) => ({
    title: "As many of your tasks run there as may at once",
    text: `${running_max === undefined ? "" : `That is ${count(Math.max(running ?? 0, running_max))} in ${queue}. `}It starts when one of them has ended.`,
    cures: ["queue"],
    calm: true,
  }),
  queue_limit: ({ queue }, { running, running_max }) => ({
    title: "As many tasks of everybody run there as may at once",
    text: `${running_max === undefined ? "" : `That is ${count(Math.max(running ?? 0, running_max))} in ${queue}. `}It starts when one of them has ended and it is your turn.`,
    cures: ["queue"],
    calm: true,
  }),
  rate: ({ queue }, { good_in_ms }) => ({
    title: "Your tasks there start one after the other, not all at once",
    text: `Only so many of yours may start in a given time in ${queue}.${good_in_ms === undefined ? "" : ` The next one may start ${good_in_ms < 1_000 ? "now" : `in ${duration(good_in_ms)}`}.`}`,
    cures: ["queue"],
    calm: true,
  }),
  queue_rate: ({ queue }, { good_in_ms }) => ({
    title: "Tasks there start one after the other, not all at once",
    text: `Only so many of everybody may start in a given time in ${queue}.${good_in_ms === undefined ? "" : ` The next one may start ${good_in_ms < 1_000 ? "now" : `in ${duration(good_in_ms)}`}, whoever's turn it is.`}`,
    cures: ["queue"],
    calm: true,
  }),
};

/** What stands in the way, if anything does. A reason from a newer server is told in the server's own sentence. */
export function whyWords(task: Asked, why: Why | undefined): WhyWords | undefined {
  if (!why || Object.hasOwn(PLAIN, why.reason)) return undefined;
  const say: Say | undefined = Object.hasOwn(IN_THE_WAY, why.reason) ? IN_THE_WAY[why.reason] : undefined;
  return say?.(task, why) ?? { title: "Something is in its way", text: why.text, cures: ["queue"] };
}

/** That it takes several places of a worker, which have to be free together; nothing of one that takes one. */
export function placesWords(why: Why | undefined): string | undefined {
  if (why?.places === undefined) return undefined;
  const most = why.places_max === undefined ? "" : `; the largest worker for its kind has ${count(why.places_max)}`;
  return `It takes ${count(why.places)} places of a worker, free at once${most}.`;
}
