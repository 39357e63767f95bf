import { Card, Skeleton } from "@/components/ui/bits";

const CARDS = ["a", "b", "c", "d", "e", "f"];

export default function Loading() {
  return (
    <div role="status" aria-label="Reading the kinds">
      <Skeleton className="h-8 w-40" />
      <Skeleton className="mt-2 mb-6 h-4 w-56" />
      <div className="grid gap-3 sm:grid-cols-2 lg:grid-cols-3">
        {CARDS.map((card) => (
          <Card key={card} className="h-36 p-5">
            <Skeleton className="h-5 w-32" />
            <Skeleton className="mt-4 h-3 w-full" />
            <Skeleton className="mt-2 h-3 w-2/3" />
          </Card>
        ))}
      </div>
    </div>
  );
}
