"use client";

import type { Task, TaskPosition, Why } from "@tasktonic/client";
import { Users } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { placeWords, startWords } from "../place-words";
import { placesWords, whyWords } from "../why-words";
import { usePosition } from "./use-position";
import { useWhy } from "./use-why";
import { Blocked, WhyNot } from "./why-not";

type Props = {
  task: Pick<Task, "id" | "rev" | "status" | "kind" | "queue">;
  initial?: TaskPosition;
  why?: Why;
  children?: ReactNode;
};

/** Why a queued task does not run: what is in its way or, if nothing is, where it stands in its line. */
export function InLine({ task, initial, why: before, children }: Props) {
  const position = usePosition(task, initial);
  const { why, ask } = useWhy(task, before);
  const blocked = whyWords(task, why);
  const places = placesWords(why);
  const place = position ? placeWords(position) : undefined;
  const start = position ? startWords(position.start) : undefined;
  const known = position?.start.is === "range";
  const spoken = useCalm((blocked ? [blocked.title, blocked.text] : [place, start]).filter(Boolean).join(" "));
  return (
    <>
      {blocked ? (
        <Blocked task={task} words={blocked} onChanged={ask}>
          {children}
        </Blocked>
      ) : (
        <WhyNot
          icon={Users}
          title={
            known || !start ? (
              <p data-testid="start">{start ?? "In line for the next free worker."}</p>
            ) : (
              <p>In line for the next free worker.</p>
            )
          }
        >
          {known || !start ? null : (
            <p className="mt-0.5" data-testid="start">
              {start}
            </p>
          )}
          <p className="mt-0.5" data-testid="place">
            {place ?? "Your tasks are started in order; people are served in turn."} {children}
          </p>
          {places ? <p className="mt-0.5">{places}</p> : null}
          {position?.start.is === "range" ? (
            <p className="mt-0.5 text-xs text-ink-faint">
              Judged by how your tasks in this line started lately; right about {times(position.start.probability)}{" "}
              times out of 10.
            </p>
          ) : null}
        </WhyNot>
      )}
      <p role="status" aria-live="polite" className="sr-only">
        {spoken}
      </p>
    </>
  );
}

const times = (probability: number): number => Math.round(probability * 10);

/** Read out no more often than this. */
const SPEAK_EVERY_MS = 20_000;

/** A text that changes all the time, for ears: the newest one, now and then. */
function useCalm(text: string): string {
  const [spoken, setSpoken] = useState("");
  const last = useRef(0);
  useEffect(() => {
    if (text === "") return;
    const wait = Math.max(0, last.current + SPEAK_EVERY_MS - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      setSpoken(text);
    }, wait);
    return () => clearTimeout(timer);
  }, [text]);
  return spoken;
}
