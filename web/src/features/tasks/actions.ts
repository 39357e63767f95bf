"use server";

import { type BulkOrder, type Json, type RescheduleRequest, STATUSES } from "@tasktonic/client";
import { z } from "zod";
import { action } from "@/lib/action";
import { TASK_ID } from "./ids";

/** What one bulk call of the API takes. */
const BULK_MAX = 1000;
const DAY_MS = 86_400_000;

const TaskId = z.string().regex(TASK_ID, "This is no task id.");
const One = z.strictObject({ id: TaskId });
const Many = z.strictObject({ ids: z.array(TaskId).min(1).max(BULK_MAX) });

const JsonValue: z.ZodType<Json> = z.json();

const MS = z.int().min(0);
const Jitter = z.number().min(0).max(1).optional();
const Backoff = z.discriminatedUnion("form", [
  z.strictObject({ form: z.literal("fixed"), wait_ms: MS, jitter: Jitter }),
  z.strictObject({
    form: z.literal("exponential"),
    base_ms: MS.optional(),
    factor: z.number().min(1).optional(),
    max_ms: MS.optional(),
    jitter: Jitter,
  }),
  z.strictObject({ form: z.literal("list"), waits_ms: z.array(MS).min(1).max(32), jitter: Jitter }),
]);
const Code = z.string().min(1).max(64);
const Rule = z.discriminatedUnion("action", [
  z.strictObject({ code: Code, action: z.literal("again"), backoff: Backoff.optional() }),
  z.strictObject({ code: Code, action: z.literal("again_after"), after_ms: MS }),
  z.strictObject({ code: Code, action: z.literal("bury") }),
]);
const Seconds = z.int().min(0).optional();

const Ahead = MS.max(365 * DAY_MS);
const Tags = z.array(z.string().trim().min(1).max(64)).max(32);

const Submission = z.strictObject({
  kind: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, "This is no kind."),
  payload: JsonValue,
  delay_ms: Ahead.optional(),
  expire_after_ms: Ahead.optional(),
  attempts_max: z.int().min(1).max(1000).optional(),
  crashes_max: z.int().min(1).max(50).optional(),
  backoff: Backoff.optional(),
  rules: z.array(Rule).max(32).optional(),
  timeout_ms: z.int().min(1).optional(),
  soft_timeout_ms: z.int().min(1).optional(),
  keep: z.strictObject({ completed_s: Seconds, cancelled_s: Seconds, failed_s: Seconds }).optional(),
  tags: Tags.optional(),
  needs: z
    .array(z.string().regex(/^[a-z0-9_-]{1,32}$/, "This is no label."))
    .max(3)
    .optional(),
  idempotency_key: z.string().min(1).max(255).optional(),
  key_mode: z
    .enum(["ttl", "until_done", "until_started", "unique", "throttle", "debounce", "replace", "latest", "restart"])
    .optional(),
  priority: z.enum(["high", "normal", "low"]).optional(),
  serial_key: z.string().min(1).max(255).optional(),
  key_window_ms: z
    .int()
    .min(1)
    .max(366 * DAY_MS)
    .optional(),
});

const Move = z.union([
  z.strictObject({ id: TaskId, run_at: z.iso.datetime() }),
  z.strictObject({ id: TaskId, delay_ms: Ahead }),
  z.strictObject({ id: TaskId, place: z.enum(["front", "back"]) }),
]);
const Edit = z.strictObject({ id: TaskId, payload: JsonValue, tags: Tags, rev: z.int().min(0) });

const Again = z.strictObject({
  id: TaskId,
  payload: JsonValue.optional(),
  tags: Tags.optional(),
  rev: z.int().min(0).optional(),
});

const Word = z.string().min(1).max(128).optional();
const Order = z.strictObject({
  verb: z.enum(["cancel", "retry", "purge"]),
  filter: z.strictObject({
    status: z.array(z.enum(STATUSES)).max(STATUSES.length).optional(),
    kind: Word,
    queue: Word,
    tag: Word,
    id_prefix: Word,
    q: Word,
    since: z.iso.datetime().optional(),
    until: z.iso.datetime().optional(),
    all: z.literal(true).optional(),
  }),
});

export const submitTask = action(Submission, ({ input, api }) => api.submit(input));

export const cancelTask = action(One, ({ input, api }) => api.cancel(input.id));

export const retryTask = action(Again, ({ input: { id, ...change }, api }) =>
  Object.keys(change).length > 0 ? api.retry(id, change) : api.retry(id),
);

export const removeTask = action(One, async ({ input, api }) => {
  await api.purge(input.id);
  return { id: input.id };
});

export const moveTask = action(Move, ({ input: { id, ...to }, api }) => api.reschedule(id, to as RescheduleRequest));

export const editTask = action(Edit, ({ input: { id, ...change }, api }) => api.edit(id, change));

export const cancelTasks = action(Many, async ({ input, api }) => tally(await api.cancelMany(input.ids)));

export const retryTasks = action(Many, async ({ input, api }) => tally(await api.retryMany(input.ids)));

export const removeTasks = action(Many, async ({ input, api }) => tally(await api.purgeMany(input.ids)));

export const countTasks = action(Order, ({ input, api }) => api.bulkCount(input as BulkOrder));

/** The operation is a task: the key makes a second press find the first. */
export const changeTasks = action(
  Order.extend({ key: z.string().min(1).max(255) }),
  ({ input: { key, ...order }, api }) => api.bulk({ ...(order as BulkOrder), idempotency_key: key }),
);

function tally({ results }: { results: { id: string; error?: { code: string; detail: string } }[] }) {
  const failures = results.flatMap(({ id, error }) => (error ? [{ id, code: error.code, message: error.detail }] : []));
  return { changed: results.length - failures.length, failures };
}
