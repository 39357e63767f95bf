"use client";

import { unstable_isUnrecognizedActionError as isUnrecognized, unstable_rethrow } from "next/navigation";
import { toast } from "sonner";
import { type Result, refused } from "@/lib/result";

/** Calls a Server Action and makes of every way it can break a `Result`. What was typed stays. */
export async function call<T>(run: () => Promise<Result<T>>): Promise<Result<T>> {
  try {
    const result = await run();
    return result ?? refused("unreachable", "The answer was lost on the way. Try again.");
  } catch (error) {
    unstable_rethrow(error);
    if (isUnrecognized(error)) {
      toast("Task Tonic was updated", {
        id: "updated",
        duration: Number.POSITIVE_INFINITY,
        description: "Reload to go on with the new version.",
        action: { label: "Reload", onClick: () => location.reload() },
      });
      return refused("updated", "Task Tonic was updated. Reload the page and send this again.");
    }
    return refused("unreachable", "The server cannot be reached. Nothing was changed; try again.");
  }
}
