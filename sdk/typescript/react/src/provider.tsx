"use client";

import { ApiClient, Live, type LiveOptions, Session } from "@tasktonic/client";
import { createContext, type ReactNode, use, useEffect, useRef, useState } from "react";

const LiveContext = createContext<Live | null>(null);

export type ProviderProps = {
  /** Where the socket is; a path means this origin. */
  url?: string;
  /** Where the API is; empty means this origin. */
  baseUrl?: string;
  /** When the cookie's token ends, so that it is renewed in time. */
  expiresAt?: string;
  /** The session ended and cannot be renewed. */
  onSignedOut?: () => void;
  /** Brings its own `Live`, as tests do. */
  live?: Live;
  /** More options of the socket. */
  options?: Pick<LiveOptions, "open" | "random" | "now">;
  children: ReactNode;
};

/** One socket per tab. Give it `key={user.id}`: another user is another provider, another store. */
export function TasktonicProvider(props: ProviderProps) {
  const signedOut = useRef(props.onSignedOut);
  useEffect(() => {
    signedOut.current = props.onSignedOut;
  });

  const [live] = useState(() => props.live ?? makeLive(props, () => signedOut.current?.()));
  useEffect(() => {
    live.start();
    return () => live.stop();
  }, [live]);

  return <LiveContext value={live}>{props.children}</LiveContext>;
}

export function useLive(): Live {
  const live = use(LiveContext);
  if (!live) throw new Error("Put <TasktonicProvider> above the component that uses Task Tonic's hooks.");
  return live;
}

function makeLive({ url, baseUrl = "", expiresAt, options }: ProviderProps, onEnd: () => void): Live {
  const session = new Session({
    refreshUrl: `${baseUrl}/api/v1/auth/refresh`,
    ...(expiresAt ? { expiresAt } : {}),
    onEnd,
  });
  const api = new ApiClient({ baseUrl, renew: async () => (await session.renew()) === "renewed" });
  return new Live({ ...options, api, session, ...(url ? { url } : {}) });
}
