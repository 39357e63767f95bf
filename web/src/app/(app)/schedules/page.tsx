import { CalendarPlus } from "lucide-react";
import type { Metadata } from "next";
import Link from "next/link";
import { Button } from "@/components/ui/button";
import { ScheduleList } from "@/features/schedules/schedule-list";
import { api, requireUser } from "@/lib/api/server";

export const metadata: Metadata = { title: "Schedules" };

export default async function SchedulesPage() {
  await requireUser("/schedules");
  const tasktonic = await api();
  const [schedules, kinds] = await Promise.all([tasktonic.schedules(), tasktonic.kinds()]);
  return (
    <>
      <header className="flex items-center justify-between gap-4 pb-4">
        <h1 className="text-2xl font-semibold">Schedules</h1>
        <Button asChild look="solid">
          <Link href="/schedules/new">
            <CalendarPlus /> New schedule
          </Link>
        </Button>
      </header>
      <ScheduleList initial={schedules} kinds={kinds} />
    </>
  );
}
