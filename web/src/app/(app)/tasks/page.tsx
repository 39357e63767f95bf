import { Plus } from "lucide-react";
import type { Metadata } from "next";
import Link from "next/link";
import { Button } from "@/components/ui/button";
import { LivePauseNotice } from "@/features/queues/pause-notice";
import { readQuery, toFilter, writeQuery } from "@/features/tasks/filters";
import { TaskList } from "@/features/tasks/task-list";
import { api, requireUser } from "@/lib/api/server";

export const metadata: Metadata = { title: "My tasks" };

const PAGE = 50;

type Props = { searchParams: Promise<Record<string, string | string[] | undefined>> };

export default async function TasksPage({ searchParams }: Props) {
  const query = readQuery(await searchParams);
  const user = await requireUser(`/tasks${writeQuery(query)}`);
  const filter = toFilter(query, Date.now());
  const tasktonic = await api();
  const [page, counts, kinds] = await Promise.all([
    tasktonic.tasks(filter, { limit: PAGE }),
    tasktonic.counts(),
    tasktonic.kinds(),
  ]);
  // Whose line grows because they stopped it themselves should not have to look for the reason.
  const pause = counts.queued > 0 ? await tasktonic.paused() : undefined;
  return (
    <>
      <header className="flex items-center justify-between gap-4 pb-4">
        <h1 className="text-2xl font-semibold">My tasks</h1>
        <Button asChild look="solid" className="max-sm:hidden">
          <Link href="/new">
            <Plus /> Run a task
          </Link>
        </Button>
      </header>
      {pause?.paused ? <LivePauseNotice pause={pause} className="mb-5" /> : null}
      <TaskList user={user.user} query={query} filter={filter} initial={page} counts={counts} kinds={kinds} />
    </>
  );
}
