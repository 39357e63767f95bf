"use client";

import { ApiError, type Schedule, type SchedulePreview, type ScheduleTiming } from "@tasktonic/client";
import { useLive } from "@tasktonic/react";
import { useEffect, useId, useMemo, useState, useSyncExternalStore } from "react";
import { Card } from "@/components/ui/bits";
import { describedBy, Field, FieldError, Input, NativeSelect } from "@/components/ui/field";
import { Prose } from "@/components/ui/prose";
import { Span, spanOf, UNITS, type Unit } from "@/features/submit/span";
import { Ago } from "@/lib/clock";
import { fromLocal, toLocal } from "@/lib/local-time";
import { moment, whenWords } from "./words";

/** After so long without a key the next times are asked for. */
const TYPING_MS = 350;

export const PRESETS = [
  { label: "Every hour", cron: "0 * * * *" },
  { label: "Every day at 09:00", cron: "0 9 * * *" },
  { label: "Monday to Friday at 09:00", cron: "0 9 * * 1-5" },
  { label: "Every Monday at 09:00", cron: "0 9 * * 1" },
  { label: "The first of the month at 09:00", cron: "0 9 1 * *" },
] as const;

/** When a schedule comes, as it is chosen and typed. */
export type When = {
  way: "clock" | "every";
  cron: string;
  zone: string;
  every: string;
  unit: Unit;
  starts: string;
  ends: string;
};

export function whenOf(schedule: Schedule | undefined, zone: string): When {
  const span = spanOf(schedule?.every_ms ?? UNITS.h.ms);
  return {
    way: schedule?.every_ms ? "every" : "clock",
    cron: schedule?.cron ?? PRESETS[1].cron,
    zone: schedule?.zone ?? zone,
    every: span.value,
    unit: span.unit,
    starts: toLocal(schedule?.starts_at ?? ""),
    ends: toLocal(schedule?.ends_at ?? ""),
  };
}

/** The same as the API takes it. */
export function timingOf(when: When): ScheduleTiming {
  const bounds = {
    ...(when.starts ? { starts_at: fromLocal(when.starts) } : {}),
    ...(when.ends ? { ends_at: fromLocal(when.ends) } : {}),
  };
  if (when.way === "clock") return { cron: when.cron.trim(), zone: when.zone, ...bounds };
  return { every_ms: Math.round(Number(when.every) * UNITS[when.unit].ms) || 0, ...bounds };
}

/** Known only in the browser: the zone of the person's own clock. */
export const useOwnZone = (): string =>
  useSyncExternalStore(
    () => () => {},
    () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC",
    () => "UTC",
  );

const useZones = (now: string): string[] =>
  useMemo(() => {
    const all = typeof Intl.supportedValuesOf === "function" ? Intl.supportedValuesOf("timeZone") : [];
    return [...new Set(["UTC", now, ...all])].sort();
  }, [now]);

type Props = {
  when: When;
  onChange: (when: When) => void;
  errors: Record<string, string>;
};

export function WhenFields({ when, onChange, errors }: Props) {
  const id = useId();
  const zones = useZones(when.zone);
  const set = (part: Partial<When>) => onChange({ ...when, ...part });
  const preset = PRESETS.find(({ cron }) => cron === when.cron.trim())?.cron ?? "";
  const wrong = (pointer: string) =>
    errors[pointer] ? { "aria-invalid": true, "aria-describedby": `${id}${pointer}-error` } : {};
  return (
    <Card className="p-5 sm:p-6">
      <h2 className="-mt-1 mb-4 text-sm font-medium tracking-normal text-ink-soft">When</h2>
      <div className="grid gap-x-8 gap-y-5 md:grid-cols-[minmax(0,1fr)_minmax(0,17rem)]">
        <div className="flex min-w-0 flex-col gap-4">
          <fieldset className="flex flex-wrap gap-x-5 gap-y-2">
            <legend className="sr-only">How it comes</legend>
            {(["clock", "every"] as const).map((way) => (
              <label key={way} className="flex min-h-7 items-center gap-2 text-sm">
                <input
                  type="radio"
                  name={`${id}way`}
                  className="size-4 accent-solid"
                  checked={when.way === way}
                  onChange={() => set({ way })}
                />
                {way === "clock" ? "By the clock" : "Every so often"}
              </label>
            ))}
          </fieldset>
          {when.way === "clock" ? (
            <>
              <Field id={`${id}preset`} label="Usual times">
                <NativeSelect
                  id={`${id}preset`}
                  value={preset}
                  onChange={(event) => event.target.value && set({ cron: event.target.value })}
                >
                  {preset === "" ? <option value="">As written below</option> : null}
                  {PRESETS.map(({ label, cron }) => (
                    <option key={cron} value={cron}>
                      {label}
                    </option>
                  ))}
                </NativeSelect>
              </Field>
              <Field
                id={`${id}/cron`}
                label="Expression"
                hint="Minute, hour, day of the month, month, day of the week"
                error={errors["/cron"]}
              >
                <Input
                  id={`${id}/cron`}
                  data-pointer="option:/cron"
                  aria-invalid={errors["/cron"] ? true : undefined}
                  aria-describedby={describedBy(`${id}/cron`, true, errors["/cron"])}
                  className="font-mono"
                  autoCapitalize="off"
                  autoComplete="off"
                  spellCheck={false}
                  value={when.cron}
                  onChange={(event) => set({ cron: event.target.value })}
                />
              </Field>
              <Field id={`${id}/zone`} label="Time zone" error={errors["/zone"]}>
                <NativeSelect
                  id={`${id}/zone`}
                  data-pointer="option:/zone"
                  {...wrong("/zone")}
                  value={when.zone}
                  onChange={(event) => set({ zone: event.target.value })}
                >
                  {zones.map((zone) => (
                    <option key={zone}>{zone}</option>
                  ))}
                </NativeSelect>
              </Field>
            </>
          ) : (
            <div className="flex flex-col gap-1.5">
              <Span
                input={{ "aria-label": "Every", ...wrong("/every_ms") }}
                value={when.every}
                unit={when.unit}
                unitLabel="Unit"
                onValue={(every) => set({ every })}
                onUnit={(unit) => set({ unit })}
              />
              <FieldError id={`${id}/every_ms-error`} text={errors["/every_ms"]} />
            </div>
          )}
          <div className="grid gap-4 sm:grid-cols-2">
            <Field id={`${id}/starts_at`} label="Not before" optional error={errors["/starts_at"]}>
              <Input
                id={`${id}/starts_at`}
                type="datetime-local"
                {...wrong("/starts_at")}
                value={when.starts}
                onChange={(event) => set({ starts: event.target.value })}
              />
            </Field>
            <Field id={`${id}/ends_at`} label="No more from" optional error={errors["/ends_at"]}>
              <Input
                id={`${id}/ends_at`}
                type="datetime-local"
                {...wrong("/ends_at")}
                value={when.ends}
                onChange={(event) => set({ ends: event.target.value })}
              />
            </Field>
          </div>
        </div>
        <NextTimes when={when} />
      </div>
    </Card>
  );
}

/** What the server makes of it, while it is typed: in words, and the next five times. */
function NextTimes({ when }: { when: When }) {
  const { api } = useLive();
  const [told, setTold] = useState<{ preview?: SchedulePreview; wrong?: string }>({});
  const asked = JSON.stringify(timingOf(when));
  useEffect(() => {
    const stop = new AbortController();
    const timer = setTimeout(() => {
      api.previewSchedule(JSON.parse(asked) as ScheduleTiming, stop.signal).then(
        (preview) => setTold({ preview }),
        (error: unknown) => {
          if (stop.signal.aborted) return;
          const first = error instanceof ApiError ? error.errors[0]?.detail : undefined;
          setTold({ wrong: first ?? "The next times cannot be asked for right now." });
        },
      );
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [api, asked]);
  return (
    <section aria-label="Next times" aria-live="polite" className="rounded-lg border border-line bg-sunken p-4">
      {told.wrong ? (
        <p className="text-sm text-red first-letter:uppercase">
          <Prose text={told.wrong} />
        </p>
      ) : told.preview ? (
        <>
          <p data-slot="words" className="text-sm font-medium first-letter:uppercase">
            {whenWords(told.preview)}
          </p>
          <ol className="mt-3 flex flex-col gap-1.5">
            {told.preview.next.map((at) => (
              <li key={at} className="flex items-baseline justify-between gap-3 text-sm">
                <span className="tabular">{moment(at, told.preview?.zone)}</span>
                <Ago due at={at} className="text-xs whitespace-nowrap text-ink-faint" />
              </li>
            ))}
          </ol>
        </>
      ) : (
        <p className="text-sm text-ink-faint">Its next times are shown here.</p>
      )}
    </section>
  );
}
