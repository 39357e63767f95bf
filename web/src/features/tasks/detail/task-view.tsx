"use client";

import {
  type Attempt,
  hasEnded,
  type Json,
  type LogPage,
  type RescheduleRequest,
  type Task,
  type TaskPosition,
  type Why,
} from "@tasktonic/client";
import { useTask } from "@tasktonic/react";
import { ChevronLeft, Ellipsis, PencilLine, RotateCcw, Square } from "lucide-react";
import dynamic from "next/dynamic";
import Link from "next/link";
import { useRouter } from "next/navigation";
import { type ReactNode, useEffect, useMemo, useState } from "react";
import { toast } from "sonner";
import { Card, Notice, Tag } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { CopyButton, copyText } from "@/components/ui/copy-button";
import { JsonTree } from "@/components/ui/json-tree";
import { LazyMenu } from "@/components/ui/lazy-menu";
import { reachable } from "@/components/ui/reachable";
import { Tab, TabList, TabPanel, Tabs } from "@/components/ui/tabs";
import { useKeys } from "@/lib/keys";
import { readProfile } from "../csv-profile";
import { useOrigin } from "../empty-states";
import { filesIn, inputFiles } from "../output-files";
import { STATUS_FACE, StatusFace } from "../status-face";
import { TiesPanel } from "../ties/ties-panel";
import type { Ties } from "../ties/use-ties";
import { useVerbs, verbsFor } from "../verbs";
import { Facts } from "./facts";
import { FileGallery, InputFiles } from "./files";
import { LogView } from "./log-view";
import { LongOutput } from "./long-output";
import { Operation } from "./operation";
import { Policy } from "./policy";
import { ProfileTable } from "./profile-table";
import { ProgressPanel } from "./progress-panel";
import { Timeline } from "./timeline";
import { useAttempts } from "./use-attempts";

const TABS = ["timeline", "logs", "input", "output", "files", "raw"] as const;
type TabId = (typeof TABS)[number];
const isTab = (value: string | undefined): value is TabId => TABS.includes(value as TabId);

type Props = {
  initial: Task;
  attempts: Attempt[];
  logs: LogPage;
  position?: TaskPosition | undefined;
  why?: Why | undefined;
  title: string;
  schema: Json | undefined;
  tab: string | undefined;
  ties: Ties;
};

export function TaskView({ initial, attempts: before, logs, position, why, title, schema, tab: asked, ties }: Props) {
  const { task = initial, error } = useTask(initial.id, { initial, whole: true });
  const live = useTask(initial.id).task;
  const attempts = useAttempts(task, before);
  const [chosen, setChosen] = useState<TabId | undefined>(isTab(asked) ? asked : undefined);
  const tab = chosen ?? restingTab(task, logs.lines.length > 0);
  const outputs = useMemo(() => filesIn(task.output ?? undefined), [task.output]);
  const inputs = useMemo(() => inputFiles(task.payload, schema), [task.payload, schema]);
  const files = outputs.length + inputs.length;

  const choose = (next: string) => {
    if (!isTab(next)) return;
    setChosen(next);
    const url = new URL(location.href);
    url.searchParams.set("tab", next);
    url.hash = "";
    window.history.replaceState(null, "", url);
  };
  // A link to a line is a link into the log.
  useEffect(() => {
    if (/^#L\d+$/.test(location.hash)) setChosen("logs");
  }, []);

  if (!live && error?.status === 404) {
    return (
      <Notice title="This task was removed">
        <Link href="/tasks" className="underline underline-offset-2">
          To my tasks
        </Link>
      </Notice>
    );
  }
  return (
    <article className="flex flex-col gap-5">
      <Header task={task} title={title} />
      <ProgressPanel task={task} position={position} why={why} />
      <Operation task={task} />
      <TiesPanel task={task} initial={ties} />
      <Facts task={task} attempts={attempts} />
      <Tabs value={tab} onValueChange={choose} className="mt-1">
        <TabList aria-label="Parts of this task">
          <Tab value="timeline">Timeline</Tab>
          <Tab value="logs">Logs</Tab>
          <Tab value="input">Input</Tab>
          <Tab value="output">
            Output
            {task.has_output && tab !== "output" ? (
              <span className="size-1.5 rounded-full bg-green">
                <span className="sr-only">ready</span>
              </span>
            ) : null}
          </Tab>
          <Tab value="files">
            Files{files > 0 ? <span className="tabular text-xs font-normal text-ink-faint">{files}</span> : null}
          </Tab>
          <Tab value="raw">Raw</Tab>
        </TabList>
        <TabPanel value="timeline">
          <Timeline task={task} attempts={attempts} />
          <Policy task={task} />
        </TabPanel>
        <TabPanel value="logs">
          <LogView task={task} initial={logs} />
        </TabPanel>
        <TabPanel value="input">
          <Input task={task} inputs={inputs} />
        </TabPanel>
        <TabPanel value="output">
          <Output task={task} />
        </TabPanel>
        <TabPanel value="files">
          {files === 0 ? <Empty>This task has no files.</Empty> : null}
          {outputs.length > 0 ? (
            <Part title="Output">
              <FileGallery files={outputs} />
            </Part>
          ) : null}
          {inputs.length > 0 ? (
            <Part title="Input">
              <InputFiles ids={inputs} />
            </Part>
          ) : null}
        </TabPanel>
        <TabPanel value="raw">
          <Raw task={task} />
        </TabPanel>
      </Tabs>
      <p role="status" aria-live="polite" className="sr-only">
        {STATUS_FACE[task.status].label}
      </p>
    </article>
  );
}

/** Where there is most to see, until somebody chooses. */
function restingTab(task: Task, hasLog: boolean): TabId {
  if (task.status === "completed" && task.has_output) return "output";
  const runs = task.status === "running" || task.status === "cancelling";
  return runs && hasLog ? "logs" : "timeline";
}

const TimeDialog = dynamic(() => import("./time-dialog").then((module) => module.TimeDialog), { ssr: false });
const loadMoreMenu = () => import("./more-menu").then((module) => module.MoreMenu);

function Header({ task, title }: { task: Task; title: string }) {
  const router = useRouter();
  const { cancel, tryAgain, move, remove } = useVerbs();
  const [timing, setTiming] = useState(false);
  const can = verbsFor(task);
  const origin = useOrigin();
  const edit = () => router.push(`/new?from=${task.id}`);
  const copy = async (text: string, what: string) => {
    if (await copyText(text)) toast.success(`${what} copied`, { id: "copied" });
  };
  useKeys({
    r: () => can.tryAgain && void tryAgain(task.id),
    c: () => can.cancel && void cancel(task.id),
    e: () => can.repeat && edit(),
    y: () => void copy(task.id, "Id"),
  });
  return (
    <header className="flex flex-col gap-4">
      <Link
        href="/tasks"
        className="inline-flex w-fit items-center gap-0.5 rounded-sm text-sm text-ink-faint hover:text-ink"
      >
        <ChevronLeft aria-hidden className="-ml-1 size-4" /> My tasks
      </Link>
      <div className="flex flex-wrap items-start justify-between gap-x-6 gap-y-4">
        <div className="min-w-0">
          <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
            <h1 className="text-2xl font-semibold [overflow-wrap:anywhere]">{title}</h1>
            <StatusFace status={task.status} chip />
          </div>
          <div className="mt-1.5 flex flex-wrap items-center gap-1.5">
            {title === task.kind ? null : (
              <span className="font-mono text-xs [overflow-wrap:anywhere] text-ink-faint">{task.kind} ·</span>
            )}
            <span className="font-mono text-xs text-ink-faint">{task.id}</span>
            <CopyButton text={task.id} label="Copy the id" />
            {task.tags.map((tag) => (
              <Tag key={tag}>{tag}</Tag>
            ))}
          </div>
        </div>
        <div className="flex items-center gap-2 max-sm:w-full">
          {can.cancel ? (
            <ActionButton look="danger" run={() => cancel(task.id)}>
              <Square /> Cancel
            </ActionButton>
          ) : null}
          {can.tryAgain ? (
            <ActionButton look="solid" run={() => tryAgain(task.id)}>
              <RotateCcw /> Try again
            </ActionButton>
          ) : null}
          {can.repeat ? (
            <Button onClick={edit} className="max-sm:flex-1">
              <PencilLine /> Run again with edits
            </Button>
          ) : null}
          <LazyMenu
            load={loadMoreMenu}
            trigger={
              <Button size="icon" aria-label="More">
                <Ellipsis />
              </Button>
            }
            props={{
              can: { move: can.move, edit: can.edit, mend: can.mend, remove: can.remove },
              onTime: () => setTiming(true),
              onMove: (to: RescheduleRequest) => void move(task.id, to),
              onEdit: () => router.push(`/tasks/${task.id}/edit`),
              onRemove: async () => {
                if (await remove(task.id)) router.push("/tasks");
              },
              onLink: () => void copy(`${origin}/tasks/${task.id}`, "Link"),
              onCurl: () => void copy(curlFor(origin, task), "curl command"),
            }}
          />
        </div>
      </div>
      {timing ? <TimeDialog task={task} onMove={(to) => move(task.id, to)} onClose={() => setTiming(false)} /> : null}
    </header>
  );
}

function ActionButton(props: { look: "danger" | "solid"; run: () => Promise<unknown>; children: ReactNode }) {
  const [busy, setBusy] = useState(false);
  return (
    <Button
      look={props.look}
      busy={busy}
      className="max-sm:flex-1"
      onClick={async () => {
        setBusy(true);
        await props.run();
        setBusy(false);
      }}
    >
      {props.children}
    </Button>
  );
}

function curlFor(origin: string, task: Task): string {
  const body = JSON.stringify({ kind: task.kind, payload: task.payload ?? {} }).replaceAll("'", "'\\''");
  return [
    `curl ${origin}/api/v1/tasks`,
    '-H "authorization: Bearer $TASKTONIC_TOKEN"',
    '-H "content-type: application/json"',
    `-d '${body}'`,
  ].join(" \\\n  ");
}

function Input({ task, inputs }: { task: Task; inputs: string[] }) {
  if (task.payload === undefined) return <Empty>Reading the input…</Empty>;
  return (
    <div className="flex flex-col gap-4">
      {inputs.length > 0 ? <InputFiles ids={inputs} /> : null}
      <JsonCard value={task.payload} label="Copy the input" />
    </div>
  );
}

function Output({ task }: { task: Task }) {
  const profile = useMemo(() => readProfile(task.output ?? undefined), [task.output]);
  const files = useMemo(() => filesIn(task.output ?? undefined), [task.output]);
  if (task.output == null) {
    if (task.has_output) return <Empty>Reading the output…</Empty>;
    return (
      <Empty>
        {task.status === "completed"
          ? "This task completed without an output."
          : hasEnded(task.status)
            ? "There is no output, because the task did not complete."
            : "The output appears here as soon as the task completes."}
      </Empty>
    );
  }
  if (task.output_in_file) return <LongOutput task={task} />;
  const rich = profile !== undefined || files.length > 0;
  return (
    <div className="flex flex-col gap-5">
      {profile ? <ProfileTable profile={profile} /> : null}
      {files.length > 0 ? <FileGallery files={files} /> : null}
      {rich ? (
        <details className="group">
          <summary className="w-fit cursor-pointer rounded-sm text-sm font-medium text-ink-soft hover:text-ink">
            As JSON
          </summary>
          <JsonCard value={task.output} label="Copy the output" className="mt-3" />
        </details>
      ) : (
        <JsonCard value={task.output} label="Copy the output" />
      )}
    </div>
  );
}

function JsonCard({ value, label, className }: { value: Json; label: string; className?: string }) {
  return (
    <Card className={`relative p-3 ${className ?? ""}`}>
      <CopyButton text={JSON.stringify(value, null, 2)} label={label} className="absolute top-2 right-2 bg-surface" />
      <JsonTree value={value} className="pr-8" />
    </Card>
  );
}

function Raw({ task }: { task: Task }) {
  const text = JSON.stringify(task, null, 2);
  return (
    <Card className="relative">
      <CopyButton text={text} label="Copy all of it" className="absolute top-2 right-2 bg-surface" />
      <pre
        {...reachable}
        className="max-h-[70vh] overflow-auto p-4 font-mono text-xs leading-relaxed -outline-offset-2"
      >
        {text}
      </pre>
    </Card>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="mb-6 last:mb-0">
      <h2 className="mb-2 text-sm font-medium tracking-normal text-ink-soft">{title}</h2>
      {children}
    </section>
  );
}

function Empty({ children }: { children: ReactNode }) {
  return (
    <p className="rounded-lg border border-dashed border-line-strong px-6 py-12 text-center text-sm text-ink-faint">
      {children}
    </p>
  );
}
