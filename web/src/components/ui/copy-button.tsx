"use client";

import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { cn } from "@/lib/cn";
import { Button, type ButtonProps } from "./button";

const SHOWN_MS = 1_600;

/** Copies a text and says so, to eyes and ears. */
export function CopyButton({
  text,
  label,
  children,
  className,
  ...rest
}: ButtonProps & { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <Button
      look="ghost"
      size={children ? "sm" : "icon-sm"}
      aria-label={children ? undefined : label}
      title={label}
      className={cn("text-ink-faint", className)}
      onClick={() => {
        void copyText(text).then(setCopied);
      }}
      {...rest}
    >
      {copied ? <Check className="text-green" /> : <Copy />}
      {children}
      <span role="status" className="sr-only">
        {copied ? "Copied" : ""}
      </span>
    </Button>
  );
}

/** The clipboard exists only on secure origins; a server in the office often is none. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const worked = document.execCommand("copy");
    area.remove();
    return worked;
  }
}
