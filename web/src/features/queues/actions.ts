"use server";

import type { QueueChange, QueueUserChange } from "@tasktonic/client";
import { z } from "zod";
import { action } from "@/lib/action";
import { QUEUE_NAME, WAITING_MAX_MAX, WEIGHT_MAX } from "./names";

const Queue = z.string().regex(QUEUE_NAME, "1 to 64 letters, digits, dots, dashes and underscores.");
const Person = z.string().trim().min(1, "Say whom it is set of.").max(255);
const WaitingMax = z.int().min(0).max(WAITING_MAX_MAX, "0 to 10,000,000, or empty.").nullable().optional();

export const pauseOwn = action(z.strictObject({ paused: z.boolean() }), ({ input, api }) => api.pause(input.paused));

export const pausePerson = action(z.strictObject({ user: Person, paused: z.boolean() }), ({ input, api }) =>
  api.pause(input.paused, input.user),
);

export const setQueue = action(
  z.strictObject({ queue: Queue, paused: z.boolean().optional(), waiting_max: WaitingMax }),
  ({ input: { queue, ...change }, api }) => api.setQueue(queue, change as QueueChange),
);

export const setPerson = action(
  z.strictObject({
    queue: Queue,
    user: Person,
    weight: z.int().min(1).max(WEIGHT_MAX, "1 to 1,000.").optional(),
    paused: z.boolean().optional(),
    waiting_max: WaitingMax,
  }),
  ({ input: { queue, ...change }, api }) => api.setQueueUser(queue, change as QueueUserChange),
);
