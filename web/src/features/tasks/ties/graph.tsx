import type { Flow } from "@tasktonic/client";
import Link from "next/link";
import { count } from "@/lib/format";
import { StatusFace } from "../status-face";
import { layers } from "./layers";

/** Tasks of one column that are shown; a batch of thousands is told in numbers. */
const SHOWN_MAX = 40;

/** The tasks of a flow in columns, from left to right in the order in which they can run; each says what it waits for. */
export function Graph({ flow }: { flow: Flow }) {
  const names = new Map(flow.tasks.map((node) => [node.id, node.name ?? node.id.slice(0, 6)]));
  const columns = layers(flow.tasks);
  // Where nothing waits for anything there is one step: its tasks stand beside each other.
  const alone = columns.length === 1;
  return (
    <section aria-label="Graph" className="overflow-x-auto">
      <ol className="flex gap-6">
        {columns.map((column, depth) => (
          <li
            key={column[0]?.id ?? depth}
            className="flex min-w-44 flex-1 flex-col gap-2"
            aria-label={`Step ${depth + 1}`}
          >
            <ul
              className={alone ? "grid grid-cols-[repeat(auto-fill,minmax(11rem,1fr))] gap-2" : "flex flex-col gap-2"}
            >
              {column.slice(0, SHOWN_MAX).map((node) => (
                <li
                  key={node.id}
                  data-node={node.name}
                  className="rounded-md border border-line bg-sunken p-2.5 text-sm"
                >
                  <p className="flex items-center gap-2">
                    <StatusFace status={node.status} />
                    <Link href={`/tasks/${node.id}`} className="min-w-0 truncate underline underline-offset-2">
                      {node.name ?? node.kind}
                    </Link>
                  </p>
                  {node.after.length > 0 ? (
                    <p className="mt-1 truncate text-xs text-ink-faint">
                      after {node.after.map(({ id }) => names.get(id) ?? id.slice(0, 6)).join(", ")}
                    </p>
                  ) : null}
                </li>
              ))}
            </ul>
            {column.length > SHOWN_MAX ? (
              <p className="text-xs text-ink-faint">and {count(column.length - SHOWN_MAX)} more</p>
            ) : null}
          </li>
        ))}
      </ol>
      {flow.next_cursor ? <p className="mt-2 text-xs text-ink-faint">These are the first tasks of it.</p> : null}
    </section>
  );
}
