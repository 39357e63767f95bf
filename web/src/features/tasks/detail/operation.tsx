import type { BulkDone, BulkFilter, BulkVerb, Task } from "@tasktonic/client";
import { Card } from "@/components/ui/bits";
import { count } from "@/lib/format";
import { STATUS_FACE } from "../status-face";

/** The kind of an operation on many tasks. */
const KIND = "tasktonic.bulk";

const WORDS: Record<BulkVerb, { does: string; done: string }> = {
  cancel: { does: "Cancels", done: "cancelled" },
  retry: { does: "Tries again", done: "back in line" },
  purge: { does: "Removes", done: "removed" },
};

/** What an operation on many tasks is for, and what has come of it. */
export function Operation({ task }: { task: Task }) {
  const asked = task.kind === KIND ? orderOf(task.payload) : undefined;
  if (!asked) return null;
  const done = task.status === "completed" ? (task.output as BulkDone | null | undefined) : undefined;
  return (
    <Card aria-label="What it does" className="px-5 py-4 text-sm text-ink-soft">
      <p className="font-medium [overflow-wrap:anywhere] text-ink">
        {WORDS[asked.verb].does} {filterWords(asked)}.
      </p>
      {done ? <p className="tabular mt-0.5">{doneWords(asked.verb, done)}</p> : null}
    </Card>
  );
}

function orderOf(payload: unknown): { verb: BulkVerb; filter: BulkFilter } | undefined {
  const order = payload as { verb?: unknown; filter?: unknown } | null | undefined;
  if (typeof order?.verb !== "string" || !Object.hasOwn(WORDS, order.verb)) return undefined;
  return { verb: order.verb as BulkVerb, filter: (order.filter ?? {}) as BulkFilter };
}

/** `all failed tasks of the kind mail.send with the tag nightly`. */
export function filterWords({ verb, filter }: { verb: BulkVerb; filter: BulkFilter }): string {
  const { kind, queue, tag, id_prefix, q, since, until } = filter;
  // Who says nothing of it tries those again that failed.
  const statuses = filter.status?.length ? filter.status : verb === "retry" ? (["failed"] as const) : [];
  const which = either(statuses.map((status) => STATUS_FACE[status]?.label.toLowerCase() ?? status));
  return [
    which ? `all ${which} tasks` : "all tasks it can",
    kind ? `of the kind ${kind}` : "",
    queue ? `in the queue ${queue}` : "",
    tag ? `with the tag ${tag}` : "",
    id_prefix ? `whose id begins with ${id_prefix}` : "",
    q ? `found by ${q}` : "",
    since ? `made since ${moment(since)}` : "",
    until ? `made before ${moment(until)}` : "",
  ]
    .filter(Boolean)
    .join(" ");
}

const either = (words: string[]): string =>
  words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

/** `54 removed. 2 had changed meanwhile and were left alone.` */
export function doneWords(verb: BulkVerb, { changed, asked, skipped }: BulkDone): string {
  const did = changed > 0 ? `${count(changed)} ${WORDS[verb].done}.` : "There was none to change.";
  const stopping =
    asked > 0
      ? ` Of these, ${count(asked)} ran and ${asked === 1 ? "its worker was" : "their workers were"} asked to stop.`
      : "";
  const left =
    skipped > 0 ? ` ${count(skipped)} had changed meanwhile and ${skipped === 1 ? "was" : "were"} left alone.` : "";
  return did + stopping + left;
}

/** As clocks in UTC show it, on the server and in the browser alike. */
const moment = (at: string): string =>
  `${new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" }).format(new Date(at))} UTC`;
