import type { Metadata } from "next";
import { notFound } from "next/navigation";
import { QUEUE_NAME, queueHref } from "@/features/queues/names";
import { QueueView } from "@/features/queues/queue-view";
import { operates, readQueues } from "@/features/queues/read";
import { api, requireUser } from "@/lib/api/server";

type Props = { params: Promise<{ name: string }> };

const nameOf = async ({ params }: Props): Promise<string> => decodeURIComponent((await params).name);

export async function generateMetadata(props: Props): Promise<Metadata> {
  return { title: `Queue ${(await nameOf(props)).slice(0, 64)}` };
}

export default async function QueuePage(props: Props) {
  const name = await nameOf(props);
  if (!QUEUE_NAME.test(name)) notFound();
  const { role, scopes } = await requireUser(queueHref(name));
  const tasktonic = await api();
  const operator = operates({ role, scopes }, "limits:read");
  const [queues, kinds, detail] = await Promise.all([
    readQueues(tasktonic, operator, name),
    tasktonic.kinds(),
    operator ? tasktonic.queue(name) : undefined,
  ]);
  return <QueueView key={name} name={name} user={{ role, scopes }} initial={queues} detail={detail} kinds={kinds} />;
}
