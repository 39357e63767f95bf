import type { FlowNode } from "@tasktonic/client";

/**
 * The tasks of a flow in columns: each stands one column behind the last of those that it waits for. What it waits for
 * and is not on this page does not count.
 */
export function layers(nodes: FlowNode[]): FlowNode[][] {
  const known = new Map(nodes.map((node) => [node.id, node]));
  const depths = new Map<string, number>();
  // Ids are in no order of the graph, so each is settled once all before it are.
  const ready = nodes.filter((node) => !node.after.some(({ id }) => known.has(id)));
  const left = new Map(nodes.map((node) => [node.id, node.after.filter(({ id }) => known.has(id)).length]));
  const behind = new Map<string, FlowNode[]>();
  for (const node of nodes) {
    for (const { id } of node.after) behind.set(id, [...(behind.get(id) ?? []), node]);
  }
  for (const node of ready) {
    const depth = Math.max(0, ...node.after.map(({ id }) => (depths.get(id) ?? -1) + 1));
    depths.set(node.id, depth);
    for (const child of behind.get(node.id) ?? []) {
      const open = (left.get(child.id) ?? 1) - 1;
      left.set(child.id, open);
      if (open === 0) ready.push(child);
    }
  }
  const columns: FlowNode[][] = [];
  for (const node of nodes) {
    const depth = depths.get(node.id) ?? 0;
    const column = columns[depth] ?? [];
    column.push(node);
    columns[depth] = column;
  }
  return columns;
}
