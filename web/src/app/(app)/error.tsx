"use client";

import { useRouter } from "next/navigation";
import { startTransition } from "react";
import { ErrorScreen } from "@/components/error-screen";

/** The page failed, the shell stands: asking again reads from the server again. */
export default function AppError({ error, reset }: { error: Error & { digest?: string }; reset: () => void }) {
  const router = useRouter();
  const again = () =>
    startTransition(() => {
      router.refresh();
      reset();
    });
  return <ErrorScreen error={error} again={again} />;
}
