"use client";

import { fileUrl } from "@tasktonic/client";
import { useEffect, useState } from "react";

/** What the server says of a stored file. */
export type StoredFact = { name: string; size: number | undefined };

/** Files never change, so each is asked for once. */
const asked = new Map<string, Promise<StoredFact | undefined>>();
const ASKED_MAX = 1_000;

/** Name and size of a file that is known by its id only; undefined until they are there, or if it is gone. */
export function useStoredFile(id: string | undefined): StoredFact | undefined {
  const [known, setKnown] = useState<{ id: string; fact: StoredFact }>();
  useEffect(() => {
    if (id === undefined) return;
    let wanted = true;
    void ask(id).then((fact) => wanted && fact && setKnown({ id, fact }));
    return () => {
      wanted = false;
    };
  }, [id]);
  return known?.id === id ? known?.fact : undefined;
}

function ask(id: string): Promise<StoredFact | undefined> {
  const before = asked.get(id);
  if (before) return before;
  const answer = read(id).catch(() => {
    // Another look may find it.
    asked.delete(id);
    return undefined;
  });
  if (asked.size >= ASKED_MAX) asked.clear();
  asked.set(id, answer);
  return answer;
}

async function read(id: string): Promise<StoredFact | undefined> {
  const response = await fetch(fileUrl(id), { method: "HEAD" });
  const name = nameIn(response.headers.get("content-disposition") ?? "");
  if (!response.ok || !name) throw new Error("not there");
  const length = response.headers.get("content-length");
  return { name, size: length === null ? undefined : Number(length) };
}

/** The name in a Content-Disposition (RFC 6266): the one in UTF-8 if there is one. */
export function nameIn(header: string): string | undefined {
  const wide = /filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(header)?.[1];
  if (wide) {
    try {
      return decodeURIComponent(wide);
    } catch {
      // The plain one is left.
    }
  }
  return /filename\s*=\s*"((?:[^"\\]|\\.)*)"/i.exec(header)?.[1]?.replace(/\\(.)/g, "$1");
}
