"use server";

import type { Json, ScheduleRequest } from "@tasktonic/client";
import { z } from "zod";
import { action } from "@/lib/action";
import { SCHEDULE_NAME } from "./names";

const Name = z.string().regex(SCHEDULE_NAME, "1 to 64 letters, digits, dots, dashes and underscores.");
const One = z.strictObject({ name: Name });
const JsonValue: z.ZodType<Json> = z.json();

const Wanted = z.strictObject({
  name: Name,
  cron: z.string().min(1).max(500).optional(),
  zone: z.string().min(1).max(100).optional(),
  every_ms: z.int().min(1).optional(),
  starts_at: z.iso.datetime().optional(),
  ends_at: z.iso.datetime().optional(),
  catch_up: z.enum(["skip", "one", "all"]),
  version: z.string().max(32).optional(),
  // What a schedule's task says beside its input and its tags was said elsewhere, and stays.
  task: z.looseObject({
    kind: z.string().min(1).max(64),
    payload: JsonValue,
    tags: z.array(z.string().trim().min(1).max(64)).max(32).optional(),
  }),
});

export const addSchedule = action(Wanted, ({ input, api }) => api.addSchedule(input as ScheduleRequest));

export const changeSchedule = action(Wanted, ({ input, api }) => api.putSchedule(input as ScheduleRequest));

export const restSchedule = action(z.strictObject({ name: Name, rests: z.boolean() }), ({ input, api }) =>
  input.rests ? api.pauseSchedule(input.name) : api.resumeSchedule(input.name),
);

export const runSchedule = action(One, ({ input, api }) => api.runSchedule(input.name));

export const removeSchedule = action(One, async ({ input, api }) => {
  await api.removeSchedule(input.name);
  return { removed: input.name };
});
