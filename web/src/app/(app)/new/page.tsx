import { ApiError, type Task } from "@tasktonic/client";
import type { Metadata } from "next";
import { Notice } from "@/components/ui/bits";
import { KindPicker } from "@/features/submit/kind-picker";
import { NewTask } from "@/features/submit/new-task";
import { unannounced } from "@/features/submit/unannounced";
import { api, requireUser } from "@/lib/api/server";

export const metadata: Metadata = { title: "Run a task" };

type Props = { searchParams: Promise<Record<string, string | string[] | undefined>> };

const one = (value: string | string[] | undefined) => (Array.isArray(value) ? value[0] : value) ?? "";

export default async function NewPage({ searchParams }: Props) {
  const params = await searchParams;
  const from = one(params.from);
  const asked = one(params.kind);
  const back = new URLSearchParams({ ...(from ? { from } : {}), ...(asked ? { kind: asked } : {}) });
  await requireUser(back.size ? `/new?${back}` : "/new");

  const tasktonic = await api();
  const [kinds, source] = await Promise.all([tasktonic.kinds(), from ? earlier(from) : undefined]);
  const name = source?.kind ?? asked;
  const kind = kinds.find((info) => info.kind === name) ?? (source ? unannounced(source) : undefined);
  if (kind) return <NewTask key={`${kind.kind} ${source?.id ?? ""}`} kind={kind} from={source} />;
  return (
    <>
      <header className="pb-5">
        <h1 className="text-2xl font-semibold">Run a task</h1>
        <p className="mt-1 text-ink-soft">What should be done?</p>
      </header>
      {from && !source ? <Notice tone="amber" title="The task to start from is gone" className="mb-5" /> : null}
      {asked && !from ? (
        <Notice tone="amber" title={`No worker has announced ${asked}`} className="mb-5">
          Choose one of these, or start a worker that knows it.
        </Notice>
      ) : null}
      <KindPicker kinds={kinds} />
    </>
  );
}

async function earlier(id: string): Promise<Task | undefined> {
  try {
    return await (await api()).task(id);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}
