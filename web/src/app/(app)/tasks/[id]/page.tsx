import { ApiError } from "@tasktonic/client";
import type { Metadata } from "next";
import { notFound } from "next/navigation";
import { TaskView } from "@/features/tasks/detail/task-view";
import { TASK_ID } from "@/features/tasks/ids";
import { titlesOf } from "@/features/tasks/kinds";
import { api, requireUser } from "@/lib/api/server";

type Props = {
  params: Promise<{ id: string }>;
  searchParams: Promise<{ tab?: string | string[] }>;
};

const LINES = 1_000;

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  const { id } = await params;
  return { title: TASK_ID.test(id) ? `Task ${id.slice(0, 6)}` : "Task" };
}

export default async function TaskPage({ params, searchParams }: Props) {
  const { id } = await params;
  const { tab } = await searchParams;
  if (!TASK_ID.test(id)) notFound();
  await requireUser(`/tasks/${id}`);
  const tasktonic = await api();
  try {
    const [task, attempts, logs, kinds] = await Promise.all([
      tasktonic.task(id),
      tasktonic.attempts(id),
      tasktonic.logs(id, 0, LINES),
      tasktonic.kinds(),
    ]);
    // The page says at once where the task stands and what is in its way, not only after a look of its own.
    const now = <T,>(answer: Promise<T>): Promise<T | undefined> => answer.catch(() => undefined);
    const [position, why] =
      task.status === "queued" ? await Promise.all([now(tasktonic.position(id)), now(tasktonic.why(id))]) : [];
    const kind = kinds.find((kind) => kind.kind === task.kind);
    return (
      <TaskView
        key={id}
        initial={task}
        attempts={attempts}
        logs={logs}
        position={position}
        why={why}
        title={titlesOf(kind ? [kind] : [])(task.kind)}
        schema={kind?.schema}
        tab={Array.isArray(tab) ? tab[0] : tab}
      />
    );
  } catch (error) {
    // Somebody else's task and one that never was get the same answer.
    if (error instanceof ApiError && error.status === 404) notFound();
    throw error;
  }
}
