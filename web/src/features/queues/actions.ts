"use server";

import type { QueueChange, QueueUserChange } from "@tasktonic/client";
import { z } from "zod";
import { action } from "@/lib/action";
import { BYTES_MAX_MAX, BYTES_WRONG } from "./bytes";
import { RATE_BURST_WRONG, RATE_PER_WRONG, RATE_TASKS_WRONG, RUNNING_MAX_WRONG } from "./limits";
import {
  QUEUE_NAME,
  RATE_BURST_MAX,
  RATE_PER_MS_MAX,
  RATE_TASKS_MAX,
  RUNNING_MAX_MAX,
  WAITING_MAX_MAX,
  WEIGHT_MAX,
} from "./names";

const Queue = z.string().regex(QUEUE_NAME, "1 to 64 letters, digits, dots, dashes and underscores.");
const Person = z.string().trim().min(1, "Say whom it is set of.").max(255);
const WaitingMax = z.int().min(0).max(WAITING_MAX_MAX, "0 to 10,000,000, or empty.").nullable().optional();
const oneTo = (max: number, wrong: string) => z.int().min(1, wrong).max(max, wrong);
const RunningMax = oneTo(RUNNING_MAX_MAX, RUNNING_MAX_WRONG).nullable().optional();
const Rate = z
  .strictObject({
    tasks: oneTo(RATE_TASKS_MAX, RATE_TASKS_WRONG),
    per_ms: oneTo(RATE_PER_MS_MAX, RATE_PER_WRONG),
    burst: oneTo(RATE_BURST_MAX, RATE_BURST_WRONG).optional(),
  })
  .nullable()
  .optional();
const Limits = { waiting_max: WaitingMax, running_max: RunningMax, rate: Rate };

export const pauseOwn = action(z.strictObject({ paused: z.boolean() }), ({ input, api }) => api.pause(input.paused));

export const pausePerson = action(z.strictObject({ user: Person, paused: z.boolean() }), ({ input, api }) =>
  api.pause(input.paused, input.user),
);

const BytesMax = z.int().min(0).max(BYTES_MAX_MAX, BYTES_WRONG).nullable();

export const setBytesOfAll = action(z.strictObject({ bytes_max: BytesMax }), ({ input, api }) =>
  api.setBytesLimit(input.bytes_max),
);

export const setBytesOf = action(z.strictObject({ user: Person, bytes_max: BytesMax }), ({ input, api }) =>
  api.setBytes(input.user, input.bytes_max),
);

export const setQueue = action(
  z.strictObject({
    queue: Queue,
    paused: z.boolean().optional(),
    turns: z.enum(["count", "run_time"]).optional(),
    ...Limits,
    running_total_max: RunningMax,
    rate_total: Rate,
  }),
  ({ input: { queue, ...change }, api }) => api.setQueue(queue, change as QueueChange),
);

export const setPerson = action(
  z.strictObject({
    queue: Queue,
    user: Person,
    weight: z.int().min(1).max(WEIGHT_MAX, "1 to 1,000.").optional(),
    paused: z.boolean().optional(),
    ...Limits,
  }),
  ({ input: { queue, ...change }, api }) => api.setQueueUser(queue, change as QueueUserChange),
);
