"use client";

import { ErrorScreen } from "@/components/error-screen";
import "./globals.css";

/** The last net: the layout itself broke. */
export default function GlobalError({ error }: { error: Error & { digest?: string } }) {
  return (
    <html lang="en">
      <body className="min-h-dvh">
        <title>Task Tonic</title>
        <ErrorScreen error={error} again={() => location.reload()} />
      </body>
    </html>
  );
}
