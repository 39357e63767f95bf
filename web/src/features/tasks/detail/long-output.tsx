"use client";

import { outputUrl, type Task } from "@tasktonic/client";
import { Download } from "lucide-react";
import { useEffect, useState } from "react";
import { Card, Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { reachable } from "@/components/ui/reachable";
import { bytes } from "@/lib/format";
import { filesIn } from "../output-files";

/** How much of it is shown, in bytes. */
const SHOWN_BYTES = 4_096;

/** An output that is too long for the task's record: how it begins, and the whole of it to download. */
export function LongOutput({ task }: { task: Task }) {
  const start = useStart(task.id);
  const size = filesIn(task.output ?? undefined)[0]?.size;
  return (
    <div className="flex flex-col gap-3">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <p className="text-sm text-ink-soft">
          {size === undefined ? "This output is long" : `This output has ${bytes(size)}`}: here is how it begins.
        </p>
        <Button asChild size="sm">
          <a href={outputUrl(task.id)} download={`output-${task.id}.json`}>
            <Download /> Download the output
          </a>
        </Button>
      </div>
      {start === "broken" ? <Notice title="Its beginning could not be read">Download it instead.</Notice> : null}
      {start && start !== "broken" ? (
        <Card>
          <pre
            {...reachable}
            className="max-h-[50vh] overflow-auto p-4 font-mono text-xs leading-relaxed break-all whitespace-pre-wrap -outline-offset-2"
          >
            {start.text}…
          </pre>
        </Card>
      ) : null}
    </div>
  );
}

/** The first bytes of an output; nothing until they are there. */
function useStart(id: string): { text: string } | "broken" | undefined {
  const [start, setStart] = useState<{ text: string } | "broken">();
  useEffect(() => {
    const stop = new AbortController();
    setStart(undefined);
    read(id, stop.signal).then(
      (text) => setStart({ text }),
      () => stop.signal.aborted || setStart("broken"),
    );
    return () => stop.abort();
  }, [id]);
  return start;
}

async function read(id: string, signal: AbortSignal): Promise<string> {
  const headers = { range: `bytes=0-${SHOWN_BYTES - 1}` };
  const response = await fetch(outputUrl(id), { headers, signal });
  if (!response.ok) throw new Error("not there");
  // A character that the range cut in two is left out.
  const text = new TextDecoder().decode(await response.arrayBuffer(), { stream: true });
  return text.slice(0, SHOWN_BYTES);
}
