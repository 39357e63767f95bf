import Link from "next/link";
import { Button } from "@/components/ui/button";
import { Bubbles } from "@/features/tasks/empty-states";

/** What stands at an address where nothing is. */
export function NotHere({ title, text }: { title: string; text: string }) {
  return (
    <div className="mx-auto flex min-h-[50dvh] max-w-md flex-col items-center justify-center px-6 text-center">
      <Bubbles />
      <h1 className="mt-6 text-xl font-semibold">{title}</h1>
      <p className="mt-2 text-ink-soft">{text}</p>
      <Button asChild look="solid" className="mt-6">
        <Link href="/tasks">To my tasks</Link>
      </Button>
    </div>
  );
}

export const NothingAtAddress = () => (
  <NotHere title="There is nothing at this address" text="Look for a letter that is wrong, or start from your tasks." />
);
