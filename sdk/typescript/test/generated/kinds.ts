// Payloads of the kinds of one installation. Written by `tasktonic kinds --types ts`; write it anew
// when kinds change.
import type { ApiClient, Json, SubmitRequest, Task } from "@tasktonic/client";

/** `images.resize`: Makes smaller copies * / of photos. */
export interface ImagesResize {
  crop?: {
    x: number;
    y: number;
  };
  /** Which photos. */
  files: Array<string>;
  format?: ImagesResizeFormat;
  maxWidth: number;
  quality?: number | null;
}

export type ImagesResizeFormat = "jpeg" | "web-p";

/** `tree.walk` */
export interface TreeWalk {
  labels?: Record<string, string>;
  level?: 1 | 2 | 3;
  rest?: Json;
  root: TreeWalkNode;
  type: string;
}

export interface TreeWalkNode {
  children?: Array<TreeWalkNode>;
  name: string;
  next?: TreeWalkNode | null;
}

/** `anything` */
export type Anything = Json;

/** The payload of each kind. */
export interface Payloads {
  "images.resize": ImagesResize;
  "tree.walk": TreeWalk;
  anything: Anything;
}

/** Submits a task; a payload of another kind, or a misspelt member, does not compile. */
export const submit = <K extends keyof Payloads, Out = Json>(
  api: ApiClient,
  kind: K,
  payload: Payloads[K],
  more: Omit<SubmitRequest, "kind" | "payload"> = {},
): Promise<Task<Out>> => api.submit<Out>({ ...more, kind, payload: payload as unknown as Json });
