import type { ReactNode } from "react";
import { Card, Tag } from "@/components/ui/bits";
import { cn } from "@/lib/cn";
import { bytes, count, number } from "@/lib/format";
import { type ColumnProfile, isSkewed, type Spread, type TableProfile } from "../csv-profile";

const VALUES_SHOWN = 4;

/** What is in each column of a table, to be read at a glance. */
export function ProfileTable({ profile }: { profile: TableProfile }) {
  return (
    <div className="flex flex-col gap-4">
      <dl className="flex flex-wrap gap-x-8 gap-y-2">
        <Big label="Rows" value={profile.rows} />
        <Big label="Columns" value={profile.total} />
        {profile.bytes === undefined ? null : (
          <div>
            <dt className="text-xs text-ink-faint">Size</dt>
            <dd className="tabular text-xl font-semibold tracking-tight">{bytes(profile.bytes)}</dd>
          </div>
        )}
      </dl>
      {profile.notes.length > 0 ? (
        <ul className="flex flex-col gap-1 rounded-lg border border-amber/30 bg-amber-wash px-4 py-3 text-sm">
          {profile.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      ) : null}
      <ul className="grid gap-3 sm:grid-cols-2 xl:grid-cols-3">
        {profile.columns.map((column) => (
          <li key={column.name} className="flex min-w-0">
            <Card className="flex min-w-0 flex-1 flex-col gap-3 p-4">
              <ColumnCard column={column} />
            </Card>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** Characters that have no look of their own as the pictures that stand for them. */
export const visible = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is made visible here
  text.replace(/[\u0000-\u001f\u007f]/g, (char) =>
    char === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + char.charCodeAt(0)),
  );

function Big({ label, value }: { label: string; value: number | undefined }) {
  if (value === undefined) return null;
  return (
    <div>
      <dt className="text-xs text-ink-faint">{label}</dt>
      <dd className="tabular text-xl font-semibold tracking-tight">{count(value)}</dd>
    </div>
  );
}

function ColumnCard({ column }: { column: ColumnProfile }) {
  const { filled, empty } = column;
  const all = (filled ?? 0) + (empty ?? 0);
  const part = filled !== undefined && all > 0 ? filled / all : undefined;
  return (
    <>
      <header className="flex items-baseline justify-between gap-3">
        <h2 className="truncate font-mono text-sm font-medium tracking-normal" title={column.name}>
          {visible(column.name) || "(no name)"}
        </h2>
        {column.type ? <Tag className="shrink-0">{column.type}</Tag> : null}
      </header>
      <Picture column={column} all={filled} />
      <dl className="mt-auto flex flex-wrap gap-x-5 gap-y-1.5 text-xs">
        {part === undefined ? null : (
          <Stat
            label="filled"
            value={part === 1 ? "all" : `${(Math.floor(part * 1000) / 10).toFixed(1)} %`}
            warn={part < 0.5}
          />
        )}
        {column.distinct === undefined ? null : (
          <Stat
            label="different"
            value={`${column.estimated ? "≈ " : ""}${count(column.distinct)}`}
            hint={column.estimated ? "Estimated, within 2 %" : undefined}
          />
        )}
        {column.stats.map(([label, value]) => (
          <Stat key={label} label={label} value={typeof value === "number" ? number(value) : visible(value)} />
        ))}
      </dl>
      {column.mixed.length > 0 ? (
        <p className="text-2xs text-ink-faint">
          Cells are {column.mixed.map(([type, n]) => `${count(n)} × ${type}`).join(", ")}
        </p>
      ) : null}
    </>
  );
}

function Picture({ column, all }: { column: ColumnProfile; all: number | undefined }) {
  if (column.spread && column.shape === "ranges" && isSkewed(column.spread)) {
    const { p5, p95 } = column.spread;
    return p5 === p95 ? (
      <Words>At least 9 of 10 values are {number(p5)}.</Words>
    ) : (
      <Box name={column.name} spread={column.spread} />
    );
  }
  if (column.bins.length > 0) {
    return column.shape === "ranges" ? <Histogram column={column} /> : <TopValues column={column} all={all} />;
  }
  if (!all || column.distinct === undefined) return null;
  return (
    <Words>
      {column.distinct >= NEARLY_ALL * all ? "Nearly every value is another one." : "No value is there often."}
    </Words>
  );
}

function Words({ children }: { children: ReactNode }) {
  return <p className="rounded-sm bg-sunken px-2 py-1.5 text-xs text-ink-soft">{children}</p>;
}

/** From this part on values are told apart rather than counted; distinct values may be estimated within 2 %. */
const NEARLY_ALL = 0.95;

/** Nine tenths of the numbers, half of them and the middle one, on an axis that leaves the rare far ones out. */
function Box({ name, spread }: { name: string; spread: Spread }) {
  const { p5, p25, median, p75, p95 } = spread;
  const at = (value: number) => `${p95 > p5 ? ((value - p5) / (p95 - p5)) * 100 : 50}%`;
  const said = `half from ${number(p25)} to ${number(p75)}, the middle one ${number(median)}`;
  return (
    <div>
      <div
        role="img"
        aria-label={`Distribution of ${name}: nine tenths from ${number(p5)} to ${number(p95)}, ${said}`}
        title={said}
        className="relative h-16 border-b border-line-strong"
      >
        <span aria-hidden className="absolute top-1/2 right-0 left-0 h-px bg-line-strong" />
        <span aria-hidden className="absolute inset-y-5 left-0 w-px bg-line-strong" />
        <span aria-hidden className="absolute inset-y-5 right-0 w-px bg-line-strong" />
        <span
          aria-hidden
          className="absolute inset-y-3 min-w-0.5 rounded-[2px] bg-chart"
          style={{ left: at(p25), right: `calc(100% - ${at(p75)})` }}
        />
        <span
          aria-hidden
          className="absolute inset-y-2 w-0.5 -translate-x-1/2 bg-ink ring-1 ring-surface"
          style={{ left: at(median) }}
        />
      </div>
      <Axis from={p5} to={p95} middle="9 of 10 values" />
    </div>
  );
}

function Axis({ from, to, middle }: { from: number; to: number; middle?: string }) {
  return (
    <p aria-hidden className="tabular mt-1 flex justify-between gap-2 text-2xs text-ink-faint">
      <span>{number(from)}</span>
      {middle ? <span>{middle}</span> : null}
      <span>{number(to)}</span>
    </p>
  );
}

type StatProps = { label: string; value: string; warn?: boolean; hint?: string | undefined };

function Stat({ label, value, warn, hint }: StatProps) {
  return (
    <div className="max-w-full min-w-0">
      <dt className="text-2xs text-ink-faint">{label}</dt>
      <dd className={cn("tabular truncate font-medium", warn && "text-amber")} title={hint ?? value}>
        {value}
      </dd>
    </div>
  );
}

function Histogram({ column }: { column: ColumnProfile }) {
  const top = Math.max(...column.bins.map((bin) => bin.count), 1);
  return (
    <div>
      <div
        role="img"
        aria-label={`Distribution of ${column.name}: ${column.bins.map((bin) => `${bin.label}, ${bin.count}`).join("; ")}`}
        className="flex h-16 items-end gap-px border-b border-line-strong"
      >
        {column.bins.map((bin) => (
          <div
            key={bin.label}
            title={`${bin.label}: ${count(bin.count)}`}
            className="min-w-0 flex-1 rounded-t-[2px] bg-chart transition-colors hover:bg-citrus-deep"
            style={{ height: bin.count === 0 ? 0 : `max(2px, ${(bin.count / top) * 100}%)` }}
          />
        ))}
      </div>
      {column.spread ? <Axis from={column.spread.min} to={column.spread.max} /> : null}
    </div>
  );
}

function TopValues({ column, all }: { column: ColumnProfile; all: number | undefined }) {
  const top = all || Math.max(...column.bins.map((bin) => bin.count), 1);
  return (
    <ul className="flex flex-col gap-1">
      {column.bins.slice(0, VALUES_SHOWN).map((bin) => (
        <li
          key={bin.label}
          className="relative flex h-6 items-center justify-between gap-3 overflow-hidden rounded-sm bg-sunken px-2 text-xs"
        >
          <span
            aria-hidden
            className="absolute inset-y-0 left-0 bg-line"
            style={{ width: `${Math.min(100, (bin.count / top) * 100)}%` }}
          />
          <span className="relative truncate" title={bin.label}>
            {visible(bin.label) || "(empty)"}
          </span>
          <span
            className="tabular relative text-ink-soft"
            title={column.slack > 0 ? `At most ${count(column.slack)} too high` : undefined}
          >
            {column.slack > 0 ? "≈ " : ""}
            {count(bin.count)}
          </span>
        </li>
      ))}
    </ul>
  );
}
