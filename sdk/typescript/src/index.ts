export { RECONNECT_MS_MAX, reconnectMs } from "./backoff.ts";
export { ApiError } from "./errors.ts";
export type * from "./flows.ts";
export type * from "./frames.ts";
export { ApiClient, type ApiOptions, fileUrl, filterQuery, outputUrl } from "./http.ts";
export { Live, type LiveOptions, socketUrl } from "./live.ts";
export { LogStore, type LogView } from "./logs.ts";
export type { SubmitManyOptions, Submitted } from "./many.ts";
export type * from "./own-queues.ts";
export { Session, type SessionOptions } from "./session.ts";
export {
  type Connection,
  type ConnectionStatus,
  LiveSocket,
  type SocketLike,
  type SocketOptions,
} from "./socket.ts";
export { canCancel, canEdit, canRemove, canReschedule, canTryAgain, hasEnded, STATUSES } from "./states.ts";
export { LiveStore, soon } from "./store.ts";
export type * from "./types.ts";
export { uploadFile } from "./upload.ts";
