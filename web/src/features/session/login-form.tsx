"use client";

import { Eye, EyeOff } from "lucide-react";
import { useActionState, useState } from "react";
import { Notice } from "@/components/ui/bits";
import { Button } from "@/components/ui/button";
import { Field, Input } from "@/components/ui/field";
import { call } from "@/lib/call";
import { type Result, refused } from "@/lib/result";
import { login } from "./actions";

type State = Result<{ next: string }> | undefined;

export function LoginForm({ next }: { next: string }) {
  const [shown, setShown] = useState(false);
  const [username, setUsername] = useState("");
  const [state, submit, pending] = useActionState<State, FormData>(async (_, form) => {
    const username = String(form.get("username") ?? "");
    const password = String(form.get("password") ?? "");
    setUsername(username);
    if (!username.trim() || !password) return refused("input_invalid", "Type your name and your password.");
    const result = await call(() => login({ username, password, next }));
    // A whole new page: nothing of whoever was signed in before stays in memory.
    if (result.ok) location.assign(result.value.next);
    return result;
  }, undefined);
  const failed = state && !state.ok ? state : undefined;

  return (
    <form action={submit} className="flex flex-col gap-4">
      <Field id="username" label="Name">
        <Input
          id="username"
          name="username"
          autoComplete="username"
          autoCapitalize="off"
          spellCheck={false}
          autoFocus
          defaultValue={username}
          aria-invalid={failed?.code === "credentials_invalid" || undefined}
        />
      </Field>
      <Field id="password" label="Password">
        <div className="relative">
          <Input
            id="password"
            name="password"
            type={shown ? "text" : "password"}
            autoComplete="current-password"
            className="pr-11"
            aria-invalid={failed?.code === "credentials_invalid" || undefined}
          />
          <Button
            look="ghost"
            size="icon-sm"
            className="absolute top-1/2 right-1.5 -translate-y-1/2"
            aria-label={shown ? "Hide the password" : "Show the password"}
            aria-pressed={shown}
            onClick={() => setShown(!shown)}
          >
            {shown ? <EyeOff /> : <Eye />}
          </Button>
        </div>
      </Field>
      {failed ? <Notice title={failed.message} /> : null}
      <Button type="submit" look="solid" size="lg" className="mt-2 w-full" busy={pending || state?.ok === true}>
        Sign in
      </Button>
    </form>
  );
}
