import type { FlowNode } from "@tasktonic/client";
import { expect, test } from "vitest";
import { layers } from "@/features/tasks/ties/layers";

const node = (id: string, ...after: string[]): FlowNode => ({
  id,
  kind: "noop",
  status: "waiting",
  after: after.map((id) => ({ id, on_failure: "fail", ended: false })),
});

test("a task stands behind the last of those it waits for", () => {
  const nodes = [node("end", "left", "late"), node("left", "first"), node("late", "left"), node("first")];
  const ids = layers(nodes).map((column) => column.map(({ id }) => id));
  expect(ids).toEqual([["first"], ["left"], ["late"], ["end"]]);
});

test("tasks beside each other share a column, in the order they came", () => {
  const nodes = [node("a"), node("b"), node("c", "a"), node("d", "b")];
  expect(layers(nodes).map((column) => column.length)).toEqual([2, 2]);
});

test("what is not on this page moves nobody", () => {
  expect(layers([node("a", "elsewhere")])).toEqual([[node("a", "elsewhere")]]);
  expect(layers([])).toEqual([]);
});
