import { cookies } from "next/headers";
import type { ReactNode } from "react";
import { Shell } from "@/features/shell/shell";
import { currentUser } from "@/lib/api/server";
import { readTheme, THEME_COOKIE } from "@/lib/theme";

/**
 * The frame of every page behind the sign-in. It does not run again on navigation and guards nothing:
 * each page asks for the user itself.
 */
export default async function AppLayout({ children }: { children: ReactNode }) {
  const user = await currentUser();
  if (!user) return children;
  const theme = readTheme((await cookies()).get(THEME_COOKIE)?.value);
  return (
    <Shell
      user={{ id: user.user, name: user.name ?? user.user, role: user.role }}
      expiresAt={user.expires_at}
      now={Date.now()}
      theme={theme}
    >
      {children}
    </Shell>
  );
}
