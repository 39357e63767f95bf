"use client";

import { RotateCw } from "lucide-react";
import { Button } from "@/components/ui/button";

/** What people see when a page could not be made. The digest finds the line in the log. */
export function ErrorScreen({ error, again }: { error: Error & { digest?: string }; again: () => void }) {
  return (
    <main className="mx-auto flex min-h-[70dvh] max-w-md flex-col items-center justify-center px-6 text-center">
      <div className="grid size-12 place-items-center rounded-full bg-amber-wash text-amber">
        <RotateCw className="size-5" />
      </div>
      <h1 className="mt-6 text-xl font-semibold">This page could not be made</h1>
      <p className="mt-2 text-ink-soft">
        The server behind it did not answer as it should. Nothing about your tasks was changed by it.
      </p>
      <Button look="solid" className="mt-6" onClick={again}>
        Try again
      </Button>
      {error.digest ? <p className="mt-6 font-mono text-2xs text-ink-faint">{error.digest}</p> : null}
    </main>
  );
}
