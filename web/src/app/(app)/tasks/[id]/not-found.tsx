import Link from "next/link";
import { Button } from "@/components/ui/button";
import { Bubbles } from "@/features/tasks/empty-states";

export default function NoSuchTask() {
  return (
    <div className="mx-auto flex min-h-[50dvh] max-w-md flex-col items-center justify-center text-center">
      <Bubbles />
      <h1 className="mt-6 text-xl font-semibold">There is no such task</h1>
      <p className="mt-2 text-ink-soft">It may have been cleaned up, or the id has a letter wrong.</p>
      <Button asChild look="solid" className="mt-6">
        <Link href="/tasks">To my tasks</Link>
      </Button>
    </div>
  );
}
