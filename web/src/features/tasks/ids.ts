/** What the id of a task looks like. */
export const TASK_ID = /^[A-Za-z0-9_-]{16}$/;
