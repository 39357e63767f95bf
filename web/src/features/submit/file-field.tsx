"use client";

import { ApiError, fileUrl, uploadFile } from "@tasktonic/client";
import { File as FileIcon, RotateCcw, Upload, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { Button } from "@/components/ui/button";
import { FieldError } from "@/components/ui/field";
import { Prose } from "@/components/ui/prose";
import { useStoredFile } from "@/features/tasks/stored-file";
import { cn } from "@/lib/cn";
import { bytes } from "@/lib/format";

/** Files on their way at once: more only share the same line. */
const AT_ONCE = 3;

type Entry = {
  key: string;
  name: string;
  size: number | undefined;
  preview: string | undefined;
  file: File | undefined;
  sent: number;
  id: string | undefined;
  error: string | undefined;
  /** It is of a kind that is not taken here: sending it again would not help. */
  misfit?: boolean;
};

type Props = {
  id: string;
  label: string;
  hint: string | undefined;
  optional: boolean;
  /** Types that are taken, as a browser spells them; empty: any. */
  accept: string[];
  multiple: boolean;
  max: number | undefined;
  value: string[];
  onChange: (ids: string[]) => void;
  /** How many of its files are still on their way. */
  onPending: (pending: number) => void;
  error: string | undefined;
};

const isPicture = (type: string) => /^image\/(png|jpeg|webp|gif|avif)$/.test(type);

/** A place to drop files. They go straight to the API; the task is given their ids. */
export function FileField(props: Props) {
  const { id, multiple, onChange, onPending } = props;
  const [entries, setEntries] = useState<Entry[]>(() => props.value.map(known));
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const running = useRef(new Map<string, AbortController>());
  const told = useRef({ onChange, onPending });
  useEffect(() => {
    told.current = { onChange, onPending };
  });

  const change = (key: string, part: Partial<Entry>) =>
    setEntries((old) => old.map((entry) => (entry.key === key ? { ...entry, ...part } : entry)));

  const take = (files: Iterable<File>) => {
    const fresh = [...files].map((file) => fromFile(file, props.accept));
    if (fresh.length === 0) return;
    setEntries((old) => {
      if (!multiple) {
        for (const entry of old) running.current.get(entry.key)?.abort();
        return fresh.slice(0, 1);
      }
      return [...old, ...fresh].slice(0, props.max ?? Number.MAX_SAFE_INTEGER);
    });
  };
  const remove = (entry: Entry) => {
    running.current.get(entry.key)?.abort();
    if (entry.preview?.startsWith("blob:")) URL.revokeObjectURL(entry.preview);
    setEntries((old) => old.filter((one) => one.key !== entry.key));
  };

  // As long as places are free, the next one leaves.
  useEffect(() => {
    for (const entry of entries) {
      if (running.current.size >= AT_ONCE) return;
      if (!entry.file || entry.id || entry.error || running.current.has(entry.key)) continue;
      const stop = new AbortController();
      running.current.set(entry.key, stop);
      uploadFile(entry.file, { signal: stop.signal, onSent: (sent) => change(entry.key, { sent }) })
        .then((stored) => change(entry.key, { id: stored.id, sent: stored.size }))
        .catch((cause: unknown) => {
          if (stop.signal.aborted) return;
          change(entry.key, { error: cause instanceof ApiError ? cause.message : "This file could not be sent." });
        })
        .finally(() => {
          running.current.delete(entry.key);
          setEntries((old) => [...old]);
        });
    }
  }, [entries]);
  // What was chosen before the page came alive is not lost, nor taken again when its event is replayed.
  const early = useRef(take);
  useEffect(() => {
    const chosen = input.current;
    if (!chosen?.files?.length) return;
    early.current(chosen.files);
    chosen.value = "";
  }, []);
  useEffect(() => {
    const all = running.current;
    return () => {
      for (const stop of all.values()) stop.abort();
    };
  }, []);

  useNoDropBeside();

  const ids = entries.flatMap((entry) => (entry.id ? [entry.id] : []));
  const pending = entries.filter((entry) => !entry.id && !entry.error).length;
  const joined = ids.join(" ");
  useEffect(() => {
    told.current.onChange(joined === "" ? [] : joined.split(" "));
  }, [joined]);
  useEffect(() => {
    told.current.onPending(pending);
    return () => told.current.onPending(0);
  }, [pending]);

  const full = props.max !== undefined && entries.length >= props.max;
  return (
    <div data-slot="file-field" className="flex flex-col gap-1.5">
      <p id={`${id}-label`} className="flex items-baseline gap-2 text-sm font-medium">
        {props.label}
        {props.optional ? <span className="text-xs font-normal text-ink-faint">optional</span> : null}
      </p>
      {props.hint ? (
        <p id={`${id}-hint`} className="-mt-0.5 text-xs text-ink-faint">
          <Prose text={props.hint} />
        </p>
      ) : null}
      {entries.length > 0 ? (
        <ul className={multiple ? "grid gap-2 sm:grid-cols-2" : ""}>
          {entries.map((entry) => (
            <EntryCard
              key={entry.key}
              entry={entry}
              onRemove={() => remove(entry)}
              onAgain={() => change(entry.key, { error: undefined, sent: 0 })}
            />
          ))}
        </ul>
      ) : null}
      <label
        data-slot="drop-zone"
        data-over={over || undefined}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          take(event.dataTransfer.files);
        }}
        className={cn(
          "flex cursor-pointer items-center justify-center gap-3 rounded-lg border border-dashed border-line-strong bg-sunken px-4 text-sm text-ink-soft transition-colors hover:border-ink-faint hover:bg-hover has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-ring data-over:border-ring data-over:bg-citrus/20",
          entries.length > 0 ? "py-3" : "flex-col py-9 text-center",
          props.error && "border-red",
          full && "hidden",
        )}
      >
        <span
          aria-hidden
          className={cn(
            "grid place-items-center rounded-full bg-surface text-ink shadow-soft",
            entries.length > 0 ? "size-7" : "size-10",
          )}
        >
          <Upload className="size-4" />
        </span>
        <span>
          <span className="font-medium text-ink underline decoration-line-strong underline-offset-4">
            {entries.length > 0 && multiple
              ? "Add more"
              : entries.length > 0
                ? "Choose another"
                : `Choose ${multiple ? "files" : "a file"}`}
          </span>
          <span className="max-sm:hidden"> or drop {multiple ? "them" : "it"} here</span>
        </span>
        <input
          ref={input}
          id={id}
          type="file"
          accept={props.accept.length > 0 ? props.accept.join(",") : undefined}
          multiple={multiple}
          className="sr-only"
          aria-labelledby={`${id}-label`}
          aria-describedby={
            [props.hint ? `${id}-hint` : "", props.error ? `${id}-error` : ""].filter(Boolean).join(" ") || undefined
          }
          aria-invalid={props.error ? true : undefined}
          onChange={(event) => {
            take(event.target.files ?? []);
            event.target.value = "";
          }}
        />
      </label>
      <FieldError id={`${id}-error`} text={props.error} />
    </div>
  );
}

function EntryCard({ entry, onRemove, onAgain }: { entry: Entry; onRemove: () => void; onAgain: () => void }) {
  const part = entry.size ? entry.sent / entry.size : 0;
  const sending = !entry.id && !entry.error;
  // What was sent before is known by its id only, until the server says more.
  const stored = useStoredFile(entry.file ? undefined : entry.id);
  const name = stored?.name ?? entry.name;
  const size = stored?.size ?? entry.size;
  return (
    <li className="relative flex items-center gap-3 overflow-hidden rounded-lg border border-line bg-surface p-2 pr-1 shadow-soft">
      <Thumb entry={entry} />
      <div className="min-w-0 flex-1">
        <p className="truncate text-sm font-medium" title={name}>
          {name}
        </p>
        <p
          role="status"
          className={cn("tabular truncate text-xs", entry.error ? "text-red" : "text-ink-faint")}
          title={entry.error}
        >
          {entry.error ??
            (sending
              ? entry.sent > 0
                ? `${Math.round(part * 100)} % of ${bytes(entry.size ?? 0)}`
                : "Waiting to be sent"
              : size === undefined
                ? "Sent before"
                : bytes(size))}
        </p>
      </div>
      {entry.error && !entry.misfit ? (
        <Button look="ghost" size="icon-sm" aria-label={`Send ${name} again`} onClick={onAgain}>
          <RotateCcw />
        </Button>
      ) : null}
      <Button look="ghost" size="icon-sm" aria-label={`Remove ${name}`} onClick={onRemove}>
        <X />
      </Button>
      {sending ? (
        <span
          aria-hidden
          className="absolute bottom-0 left-0 h-0.5 bg-link transition-[width]"
          style={{ width: `${part * 100}%` }}
        />
      ) : null}
    </li>
  );
}

function Thumb({ entry }: { entry: Entry }) {
  const [broken, setBroken] = useState(false);
  return (
    <span className="grid size-10 shrink-0 place-items-center overflow-hidden rounded-md bg-sunken text-ink-faint">
      {entry.preview && !broken ? (
        <img src={entry.preview} alt="" onError={() => setBroken(true)} className="size-full object-cover" />
      ) : (
        <FileIcon aria-hidden className="size-4" />
      )}
    </span>
  );
}

const known = (id: string): Entry => ({
  key: id,
  name: id,
  size: undefined,
  preview: fileUrl(id, { inline: true }),
  file: undefined,
  sent: 0,
  id,
  error: undefined,
});
function fromFile(file: File, accept: string[]): Entry {
  const misfit = !isTaken(file, accept);
  return {
    key: `${Date.now()}-${Math.random()}`,
    name: file.name,
    size: file.size,
    preview: isPicture(file.type) ? URL.createObjectURL(file) : undefined,
    file,
    sent: 0,
    id: undefined,
    error: misfit ? `Not taken here: only ${accept.map(shownType).join(", ")}.` : undefined,
    misfit,
  };
}

/** Whether a file is of a type that is taken, by the rules of a file input. A file whose type nobody knows is. */
export function isTaken(file: { name: string; type: string }, accept: string[]): boolean {
  if (accept.length === 0 || file.type === "") return true;
  const type = file.type.toLowerCase();
  return accept.some((one) =>
    one.startsWith(".")
      ? file.name.toLowerCase().endsWith(one)
      : one.endsWith("/*")
        ? type.startsWith(one.slice(0, -1))
        : type === one,
  );
}
/** `image/jpeg` as JPEG, `.csv` as CSV. */
const shownType = (one: string): string =>
  one.endsWith("/*") ? one.slice(0, -2) : one.replace(/^(\.|.*\/)/, "").toUpperCase();

/** A file that misses the zone would be opened instead of the page, and with it all that was typed. */
function useNoDropBeside() {
  useEffect(() => {
    const stay = (event: DragEvent) => {
      if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      event.dataTransfer.dropEffect = "none";
    };
    window.addEventListener("dragover", stay);
    window.addEventListener("drop", stay);
    return () => {
      window.removeEventListener("dragover", stay);
      window.removeEventListener("drop", stay);
    };
  }, []);
}
