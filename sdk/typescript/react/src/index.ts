export { matches, newestFirst } from "./matches.ts";
export { type ProviderProps, TasktonicProvider, useLive } from "./provider.tsx";
export { useConnection, useCounts } from "./use-connection.ts";
export { type Submission, useSubmit } from "./use-submit.ts";
export { type UseTaskOptions, useTask, useTaskRow } from "./use-task.ts";
export { useTaskEnds, useTaskEvents } from "./use-task-events.ts";
export { useTaskLogs } from "./use-task-logs.ts";
export { type TaskList, type UseTasksOptions, useTasks } from "./use-tasks.ts";
