"use client";

import type { Task } from "@tasktonic/client";
import { TasktonicProvider, useLive, useTaskEnds } from "@tasktonic/react";
import dynamic from "next/dynamic";
import { useRouter } from "next/navigation";
import { type ReactNode, useEffect, useState } from "react";
import { Toaster, toast } from "sonner";
import { heardTitle, isHeard, learnKinds } from "@/features/tasks/kinds";
import { tellStopped } from "@/features/tasks/verbs";
import { ClockProvider } from "@/lib/clock";
import { useKeys } from "@/lib/keys";
import { useSilence } from "@/lib/line";
import type { Theme } from "@/lib/theme";
import { BottomNav, TopBar } from "./bars";

// None is on the first screen, so none is in its scripts.
const Palette = dynamic(() => import("./palette").then((module) => module.Palette), { ssr: false });
const EraseDialog = dynamic(() => import("@/features/session/erase-dialog").then((module) => module.EraseDialog), {
  ssr: false,
});
const HelpDialog = dynamic(() => import("./help-dialog").then((module) => module.HelpDialog), { ssr: false });

export type ShellUser = { id: string; name: string; role: string };
type Props = { user: ShellUser; expiresAt: string; now: number; theme: Theme; children: ReactNode };

/** The frame around every page, and the one socket beneath it. Another user is another frame. */
export function Shell({ user, expiresAt, now, theme: initialTheme, children }: Props) {
  const router = useRouter();
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const [erasing, setErasing] = useState(false);
  const [theme, setTheme] = useState(initialTheme);

  useKeys({ "?": () => setHelp(true), n: () => router.push("/new"), g: () => router.push("/tasks") });
  usePaletteKey(() => setPalette((open) => !open));

  return (
    <TasktonicProvider key={user.id} url="/ws" expiresAt={expiresAt} onSignedOut={toLogin}>
      <ClockProvider now={now}>
        <a
          href="#content"
          className="sr-only z-50 rounded-md bg-solid px-4 py-2 text-on-solid focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
        >
          Skip to the content
        </a>
        <TopBar
          user={user}
          theme={theme}
          onTheme={setTheme}
          onPalette={() => setPalette(true)}
          onHelp={() => setHelp(true)}
          onErase={() => setErasing(true)}
        />
        <main
          id="content"
          tabIndex={-1}
          className="mx-auto w-full max-w-[76rem] px-4 pt-6 pb-28 outline-none sm:px-6 sm:pt-8 sm:pb-16"
        >
          {children}
        </main>
        <BottomNav onPalette={() => setPalette(true)} />
        {palette ? <Palette open onOpen={setPalette} onHelp={() => setHelp(true)} onTheme={setTheme} /> : null}
        {help ? <HelpDialog open onOpen={setHelp} /> : null}
        {erasing ? <EraseDialog user={user.id} onClose={() => setErasing(false)} /> : null}
        <EndToasts />
        <Silence />
        <Toaster
          theme={theme}
          position="bottom-right"
          mobileOffset={{ bottom: "5rem" }}
          gap={8}
          closeButton={false}
          containerAriaLabel="Notices"
        />
      </ClockProvider>
    </TasktonicProvider>
  );
}

function toLogin() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function usePaletteKey(toggle: () => void) {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.metaKey || event.ctrlKey)) return;
      event.preventDefault();
      toggle();
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  });
}

/** Says when a task of one's own has ended, unless it is the one on the screen. */
function EndToasts() {
  const router = useRouter();
  const { api } = useLive();
  useTaskEnds(async (task: Task) => {
    if (tellStopped(task)) return;
    if (location.pathname === `/tasks/${task.id}`) return;
    // What people call it, also on a page that lists no kinds; without an answer its code has to do.
    if (!isHeard(task.kind)) await api.kinds().then(learnKinds, () => undefined);
    const open = { label: "Open", onClick: () => router.push(`/tasks/${task.id}`) };
    if (task.status === "completed") {
      toast.success(`${heardTitle(task.kind)} completed`, { id: `end-${task.id}`, action: open });
    } else if (task.status === "failed") {
      toast.error(`${heardTitle(task.kind)} failed`, {
        id: `end-${task.id}`,
        description: task.error?.message,
        action: open,
      });
    }
  });
  return null;
}

/** Marks the page while nothing is heard from the server, so that nothing in it moves on. */
function Silence() {
  const silent = useSilence() !== undefined;
  useEffect(() => {
    document.documentElement.toggleAttribute("data-silent", silent);
    return () => document.documentElement.removeAttribute("data-silent");
  }, [silent]);
  return null;
}
