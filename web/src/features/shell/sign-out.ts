import { logout } from "@/features/session/actions";

/**
 * The API ends the session: it alone is shown the refresh cookie. Then the action drops both cookies,
 * so that one is signed out here even if the API did not answer.
 */
export async function signOut(): Promise<void> {
  await fetch("/api/v1/auth/logout", { method: "POST" }).catch(() => undefined);
  await logout().catch(() => undefined);
  location.assign("/login");
}
