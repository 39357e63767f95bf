import { ApiError } from "@tasktonic/client";
import type { Metadata } from "next";
import { notFound } from "next/navigation";
import { SCHEDULE_NAME } from "@/features/schedules/names";
import { ScheduleForm } from "@/features/schedules/schedule-form";
import { unannounced } from "@/features/submit/unannounced";
import { api, requireUser } from "@/lib/api/server";

export const metadata: Metadata = { title: "Change a schedule" };

type Props = { params: Promise<{ name: string }> };

export default async function SchedulePage({ params }: Props) {
  const name = decodeURIComponent((await params).name);
  if (!SCHEDULE_NAME.test(name)) notFound();
  await requireUser(`/schedules/${name}`);
  const tasktonic = await api();
  try {
    const [schedule, kinds] = await Promise.all([tasktonic.schedule(name), tasktonic.kinds()]);
    const kind = kinds.find((kind) => kind.kind === schedule.task.kind) ?? unannounced(schedule.task);
    return <ScheduleForm key={schedule.version} kind={kind} schedule={schedule} />;
  } catch (error) {
    // Somebody else's schedule and one that never was get the same answer.
    if (error instanceof ApiError && error.status === 404) notFound();
    throw error;
  }
}
