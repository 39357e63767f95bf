"use client";

import { ErrorScreen } from "@/components/error-screen";

/** Even the frame could not be made, so all of it is asked for again. */
export default function PageError({ error }: { error: Error & { digest?: string } }) {
  return <ErrorScreen error={error} again={() => location.reload()} />;
}
