import type { Metadata } from "next";
import { redirect } from "next/navigation";
import { Wordmark } from "@/components/ui/mark";
import { LoginForm } from "@/features/session/login-form";
import { LoginScene } from "@/features/session/login-scene";
import { currentUser } from "@/lib/api/server";
import { safeNext } from "@/lib/next-path";

export const metadata: Metadata = { title: "Sign in" };

type Props = { searchParams: Promise<Record<string, string | string[] | undefined>> };

export default async function LoginPage({ searchParams }: Props) {
  const next = safeNext((await searchParams).next);
  // A server that is down must not take the sign-in page with it.
  const user = await currentUser().catch(() => undefined);
  if (user) redirect(next);
  return (
    <main className="grid min-h-dvh lg:grid-cols-[minmax(26rem,5fr)_7fr]">
      <div className="flex flex-col px-6 py-8 sm:px-12">
        <Wordmark />
        <div className="mx-auto flex w-full max-w-80 flex-1 flex-col justify-center py-12">
          <h1 className="text-2xl font-semibold">Sign in</h1>
          <p className="mt-2 mb-8 text-ink-soft">To hand over tasks, watch them live and get their output.</p>
          <LoginForm next={next} />
        </div>
      </div>
      <LoginScene />
    </main>
  );
}
