import type { Task, TaskFilter } from "@tasktonic/client";

/** Whether a list with this filter shows the task: the same rule the server lists by. */
export function matches(task: Task, filter: TaskFilter): boolean {
  if (filter.status?.length && !filter.status.includes(task.status)) return false;
  if (filter.kind && task.kind !== filter.kind) return false;
  if (filter.queue && task.queue !== filter.queue) return false;
  if (filter.tag && !task.tags.includes(filter.tag)) return false;
  if (filter.q && !isFound(task, filter.q)) return false;
  const created = Date.parse(task.created_at);
  if (filter.since && created < Date.parse(filter.since)) return false;
  if (filter.until && created >= Date.parse(filter.until)) return false;
  return true;
}

/** Characters of an error's message that a search looks at. */
const ERROR_CHARS = 96;

/** Each character by itself, so that its neighbours change nothing. */
const fold = (text: string): string => Array.from(text, (character) => character.toLowerCase()).join("");

const inWord = /[\p{Alphabetic}\p{N}]/u;

/** Whether a word stands in the text where no letter and no digit is before it; both are folded. */
function beginsAWord(text: string, word: string): boolean {
  const anywhere = !inWord.test(Array.from(word)[0] ?? "");
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (anywhere || !inWord.test(Array.from(text.slice(0, at)).at(-1) ?? "")) return true;
  }
  return false;
}

/** Whether all words of a search find the task. */
function isFound(task: Task, search: string): boolean {
  const { id, kind, queue, tags, status, error } = task;
  const texts = [kind, queue, ...tags];
  if (status === "failed" && error) texts.push(error.code, Array.from(error.message).slice(0, ERROR_CHARS).join(""));
  const called = texts.map(fold);
  const words = search.split(/\s+/u).filter(Boolean).map(fold);
  return words.every((word) => fold(id).startsWith(word) || called.some((text) => beginsAWord(text, word)));
}

/** Newest first; the id settles what was made in the same millisecond. */
export function newestFirst(a: Task, b: Task): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}
