"use client";

import { ApiError, type Json, type SubmitRequest, type Task } from "@tasktonic/client";
import { useCallback, useState } from "react";
import { useLive } from "./provider.tsx";
import { useTaskRow } from "./use-task.ts";

export type Submission = Omit<SubmitRequest, "kind" | "payload">;

/**
 * Submits tasks of one kind. The idempotency key is made here, before the request leaves, and kept
 * until the server has answered: pressing again after a broken connection cannot make a second task.
 */
export function useSubmit<In extends Json = Json, Out = Json>(kind: string) {
  const live = useLive();
  const [state, setState] = useState<{
    id: string;
    key: string | undefined;
    body: string;
    pending: boolean;
    error: ApiError | undefined;
  }>({ id: "", key: undefined, body: "", pending: false, error: undefined });
  const task = useTaskRow(state.id) as Task<Out> | undefined;

  const submit = useCallback(
    async (payload: In, options: Submission = {}): Promise<Task<Out> | undefined> => {
      const body = JSON.stringify([payload, options]);
      const kept = state.body === body ? state.key : undefined;
      // What is said about a key is about one that others know.
      const own = options.key_mode === undefined && options.key_window_ms === undefined;
      const key = options.idempotency_key ?? (own ? (kept ?? crypto.randomUUID()) : undefined);
      setState((old) => ({ ...old, key, body, pending: true, error: undefined }));
      try {
        const request = { ...options, kind, payload, ...(key === undefined ? {} : { idempotency_key: key }) };
        const made = await live.api.submit<Out>(request);
        live.store.seed(made as Task);
        setState({ id: made.id, key: undefined, body: "", pending: false, error: undefined });
        return made;
      } catch (cause) {
        if (!(cause instanceof ApiError)) throw cause;
        setState((old) => ({ ...old, key, body, pending: false, error: cause }));
        return undefined;
      }
    },
    [live, kind, state.body, state.key],
  );

  return { submit, task, pending: state.pending, error: state.error };
}
