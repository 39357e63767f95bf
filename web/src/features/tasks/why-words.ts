import type { Why, WhyReason } from "@tasktonic/client";
import { labelsOf } from "@/features/queues/names";

/** What a person can do about it, from the page of the task. */
export type Cure = "resume" | "queue" | "queues";
export type WhyWords = {
  title: string;
  text: string;
  cures: Cure[];
  /** For whoever runs the installation. */
  command?: string;
};
/** What is looked at of a task. */
export type Asked = { kind: string; queue: string };

type Say = (task: Asked, why: Why) => WhyWords;

const KEEPS = "Your task keeps its place meanwhile.";

/** Reasons that stand in a task's way, in plain words, with what to do. What is not here needs no word of its own. */
const IN_THE_WAY: Partial<Record<WhyReason, Say>> = {
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
};

/** Reasons for which the page has a word already: what runs, what has ended, what waits for its time or its turn. */
const PLAIN: Record<string, true> = {
  ended: true,
  running: true,
  scheduled: true,
  waiting: true,
  turn: true,
} satisfies Partial<Record<WhyReason, true>>;

/** What stands in the way, if anything does. A reason from a newer server is told in the server's own sentence. */
export function whyWords(task: Asked, why: Why | undefined): WhyWords | undefined {
  if (!why || Object.hasOwn(PLAIN, why.reason)) return undefined;
  const say = Object.hasOwn(IN_THE_WAY, why.reason) ? IN_THE_WAY[why.reason] : undefined;
  return say?.(task, why) ?? { title: "Something is in its way", text: why.text, cures: ["queue"] };
}
