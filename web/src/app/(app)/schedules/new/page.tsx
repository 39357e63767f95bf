import type { Metadata } from "next";
import { Notice } from "@/components/ui/bits";
import { ScheduleForm } from "@/features/schedules/schedule-form";
import { KindPicker } from "@/features/submit/kind-picker";
import { api, requireUser } from "@/lib/api/server";

export const metadata: Metadata = { title: "New schedule" };

type Props = { searchParams: Promise<Record<string, string | string[] | undefined>> };

export default async function NewSchedulePage({ searchParams }: Props) {
  const { kind } = await searchParams;
  const asked = (Array.isArray(kind) ? kind[0] : kind) ?? "";
  await requireUser(asked ? `/schedules/new?kind=${encodeURIComponent(asked)}` : "/schedules/new");
  const kinds = await (await api()).kinds();
  const known = kinds.find((one) => one.kind === asked);
  if (known) return <ScheduleForm key={known.kind} kind={known} schedule={undefined} />;
  return (
    <>
      <header className="pb-5">
        <h1 className="text-2xl font-semibold">New schedule</h1>
        <p className="mt-1 text-ink-soft">What should be done each time?</p>
      </header>
      {asked ? <Notice tone="amber" title={`No worker has announced ${asked}`} className="mb-5" /> : null}
      <KindPicker kinds={kinds} to="/schedules/new" />
    </>
  );
}
