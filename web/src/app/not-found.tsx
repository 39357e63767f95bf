import Link from "next/link";
import { Button } from "@/components/ui/button";
import { Bubbles } from "@/features/tasks/empty-states";

export default function NotFound() {
  return (
    <main className="mx-auto flex min-h-[70dvh] max-w-md flex-col items-center justify-center px-6 text-center">
      <Bubbles />
      <h1 className="mt-6 text-xl font-semibold">There is nothing at this address</h1>
      <p className="mt-2 text-ink-soft">The link may be old, or the task behind it belongs to somebody else.</p>
      <Button asChild look="solid" className="mt-6">
        <Link href="/tasks">To my tasks</Link>
      </Button>
    </main>
  );
}
