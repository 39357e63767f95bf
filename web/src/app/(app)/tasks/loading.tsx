import { Card, Skeleton } from "@/components/ui/bits";

const ROWS = ["a", "b", "c", "d", "e", "f", "g", "h"];

export default function Loading() {
  return (
    <div role="status" aria-label="Reading your tasks">
      <Skeleton className="mb-6 h-8 w-36" />
      <Skeleton className="mb-4 h-9 w-full max-w-xl" />
      <Card className="mt-4">
        {ROWS.map((row) => (
          <div key={row} className="flex h-16 items-center gap-6 border-b border-line px-4 last:border-b-0">
            <Skeleton className="size-4" />
            <Skeleton className="h-4 w-24 max-sm:hidden" />
            <Skeleton className="h-4 flex-1" />
            <Skeleton className="h-4 w-16" />
          </div>
        ))}
      </Card>
    </div>
  );
}
