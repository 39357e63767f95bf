import { Card, Skeleton } from "@/components/ui/bits";

const FACTS = ["a", "b", "c", "d", "e", "f"];

export default function Loading() {
  return (
    <div role="status" aria-label="Reading the task" className="flex flex-col gap-5">
      <Skeleton className="h-4 w-20" />
      <div className="flex items-center gap-3">
        <Skeleton className="h-8 w-52" />
        <Skeleton className="h-7 w-28 rounded-full" />
      </div>
      <Card className="p-6">
        <Skeleton className="h-8 w-40" />
        <Skeleton className="mt-4 h-2.5 w-full" />
      </Card>
      <div className="grid grid-cols-2 gap-6 sm:grid-cols-3 lg:grid-cols-6">
        {FACTS.map((fact) => (
          <Skeleton key={fact} className="h-9" />
        ))}
      </div>
      <Skeleton className="h-64 w-full" />
    </div>
  );
}
