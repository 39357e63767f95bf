"use client";

import { Kbd } from "@/components/ui/bits";
import { Dialog, DialogContent } from "@/components/ui/dialog";
import { useCommandKey } from "@/lib/platform";

/** Stands for the key of this machine. */
const COMMAND = "⌘";

const GROUPS: { title: string; keys: [string[], string][] }[] = [
  {
    title: "Everywhere",
    keys: [
      [[COMMAND, "K"], "Go to a task, a kind or a page"],
      [["g"], "My tasks"],
      [["n"], "Run a task"],
      [["?"], "These keys"],
    ],
  },
  {
    title: "In the list",
    keys: [
      [["j"], "Next task"],
      [["k"], "Task before"],
      [["↵"], "Open"],
      [["x"], "Select"],
      [["r"], "Try again"],
      [["/"], "Find by id"],
    ],
  },
  {
    title: "On a task",
    keys: [
      [["r"], "Try again"],
      [["e"], "Run again with edits"],
      [["c"], "Cancel"],
      [["y"], "Copy the id"],
    ],
  },
];

export function HelpDialog({ open, onOpen }: { open: boolean; onOpen: (open: boolean) => void }) {
  const command = useCommandKey();
  return (
    <Dialog open={open} onOpenChange={onOpen}>
      <DialogContent title="Keys" className="max-w-md">
        <div className="overflow-y-auto px-5 pb-5">
          {GROUPS.map(({ title, keys }) => (
            <section key={title} className="mt-4">
              <h3 className="mb-1 text-xs font-medium tracking-normal text-ink-faint">{title}</h3>
              <dl>
                {keys.map(([combo, what]) => (
                  <div
                    key={what}
                    className="flex items-center justify-between gap-4 border-b border-line py-1.5 last:border-b-0"
                  >
                    <dt className="order-2 flex gap-1">
                      {combo.map((key) => (
                        <Kbd key={key} className="pointer-coarse:inline-grid">
                          {key === COMMAND ? command : key}
                        </Kbd>
                      ))}
                    </dt>
                    <dd className="text-sm">{what}</dd>
                  </div>
                ))}
              </dl>
            </section>
          ))}
        </div>
      </DialogContent>
    </Dialog>
  );
}
