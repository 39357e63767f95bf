import { ApiError, canEdit, canTryAgain } from "@tasktonic/client";
import type { Metadata } from "next";
import Link from "next/link";
import { notFound } from "next/navigation";
import { Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { EditTask } from "@/features/submit/edit-task";
import { unannounced } from "@/features/submit/unannounced";
import { TASK_ID } from "@/features/tasks/ids";
import { api, requireUser } from "@/lib/api/server";

export const metadata: Metadata = { title: "Edit a task" };

type Props = { params: Promise<{ id: string }> };

export default async function EditPage({ params }: Props) {
  const { id } = await params;
  if (!TASK_ID.test(id)) notFound();
  await requireUser(`/tasks/${id}/edit`);
  const tasktonic = await api();
  try {
    const [task, kinds] = await Promise.all([tasktonic.task(id), tasktonic.kinds()]);
    if (canEdit(task.status) || canTryAgain(task.status)) {
      const kind = kinds.find((kind) => kind.kind === task.kind) ?? unannounced(task);
      return <EditTask key={id} kind={kind} task={task} />;
    }
    return (
      <>
        <h1 className="mb-4 text-2xl font-semibold">Edit a task</h1>
        <Notice tone="amber" title="This task can be changed no more" className="max-w-3xl">
          A worker has it by now, or it has completed.
        </Notice>
        <div className="mt-5 flex flex-wrap gap-2">
          <Button asChild look="solid">
            <Link href={`/tasks/${id}`}>To the task</Link>
          </Button>
          <Button asChild>
            <Link href={`/new?from=${id}`}>Run again with edits</Link>
          </Button>
        </div>
      </>
    );
  } catch (error) {
    // Somebody else's task and one that never was get the same answer.
    if (error instanceof ApiError && error.status === 404) notFound();
    throw error;
  }
}
