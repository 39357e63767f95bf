"use client";

import { createContext, use, useId } from "react";
import { describedBy } from "@/components/ui/field";
import type { Draft, Errors } from "./draft";
import type { Shape } from "./shape";

/* What every field of a form is given, and what it knows of its surroundings. */

export type Surroundings = { errors: Errors; onPending: (field: string, pending: number) => void };
export const Around = createContext<Surroundings>({ errors: {}, onPending: () => {} });

export type NodeProps<S = Shape> = {
  shape: S;
  draft: Draft;
  onChange: (draft: Draft) => void;
  at: string;
  required: boolean;
  /** One of a list whose title is above it already. */
  bare?: boolean | undefined;
};
export type Of<Kind extends Shape["is"]> = Extract<Shape, { is: Kind }>;

/** The id, the error and the ties between them that every simple field needs. */
export function useField(at: string, shape: Shape, required: boolean) {
  const id = useId();
  const error = use(Around).errors[at];
  return {
    field: { id, label: shape.title, hint: shape.hint, error, optional: !required },
    input: {
      id,
      "data-pointer": at,
      "aria-describedby": describedBy(id, shape.hint, error),
      "aria-invalid": error ? true : undefined,
      "aria-required": required || undefined,
    },
  };
}

export const typed = (draft: Draft): string => (typeof draft === "string" ? draft : "");
