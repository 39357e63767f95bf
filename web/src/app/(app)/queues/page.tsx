import type { Metadata } from "next";
import { QueueList } from "@/features/queues/queue-list";
import { operates, readQueues } from "@/features/queues/read";
import { api, requireUser } from "@/lib/api/server";

export const metadata: Metadata = { title: "Queues" };

export default async function QueuesPage() {
  const { role, scopes } = await requireUser("/queues");
  const tasktonic = await api();
  const [queues, kinds] = await Promise.all([
    readQueues(tasktonic, operates({ role, scopes }, "limits:read")),
    tasktonic.kinds(),
  ]);
  return <QueueList user={{ role, scopes }} initial={queues} kinds={kinds} />;
}
