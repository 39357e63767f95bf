import type { KindInfo } from "@tasktonic/client";
import { ArrowRight } from "lucide-react";
import Link from "next/link";
import { Prose } from "@/components/ui/prose";
import { Bubbles } from "@/features/tasks/empty-states";

/** Everything a worker has said it can do. */
export function KindPicker({ kinds, to = "/new" }: { kinds: KindInfo[]; to?: string }) {
  if (kinds.length === 0) return <NoKinds />;
  return (
    <ul className="grid gap-3 sm:grid-cols-2 lg:grid-cols-3">
      {kinds.map((kind) => (
        <li key={kind.kind}>
          <Link
            href={`${to}?kind=${encodeURIComponent(kind.kind)}`}
            className="group flex h-full flex-col rounded-lg border border-line bg-surface p-5 shadow-soft transition-all hover:-translate-y-px hover:border-line-strong hover:shadow-float"
          >
            <span className="flex items-start justify-between gap-3">
              <span className="min-w-0 text-lg font-semibold [overflow-wrap:anywhere] tracking-[-0.017em]">
                {kind.title ?? kind.kind}
              </span>
              <ArrowRight
                aria-hidden
                className="mt-1 size-4 shrink-0 text-ink-faint transition-transform group-hover:translate-x-0.5 group-hover:text-ink"
              />
            </span>
            <span className="mt-0.5 font-mono text-xs text-ink-faint">{kind.kind}</span>
            <span className="mt-3 line-clamp-3 text-sm text-ink-soft">
              <Prose text={kind.description ?? ""} />
            </span>
            <TakesPlaces kind={kind} className="pt-3 text-xs" />
            {kind.served ? null : (
              <span className="mt-auto pt-3 text-xs font-medium text-amber">No worker for this right now</span>
            )}
          </Link>
        </li>
      ))}
    </ul>
  );
}

/** That a task of the kind takes several places of a worker; nothing where it takes one. */
export function TakesPlaces({ kind, className }: { kind: KindInfo; className: string }) {
  if ((kind.places ?? 1) === 1) return null;
  return <span className={`text-ink-faint ${className}`}>Each takes {kind.places} places of a worker</span>;
}

function NoKinds() {
  return (
    <div className="flex flex-col items-center rounded-lg border border-dashed border-line-strong px-6 py-16 text-center">
      <Bubbles />
      <p className="mt-5 text-lg font-semibold">No worker has come forward yet</p>
      <p className="mt-1 max-w-sm text-sm text-ink-faint">
        Kinds appear here when the first worker starts and says what it can do.
      </p>
      <pre className="mt-5 rounded-md border border-line bg-sunken px-4 py-2 font-mono text-xs">tasktonic work</pre>
    </div>
  );
}
