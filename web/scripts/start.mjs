// Starts the built server with the settings it should have behind a front door.
process.env.PORT ??= "3000";
process.env.HOSTNAME = process.env.TASKTONIC_WEB_HOST ?? "127.0.0.1";
// Above the idle time of the front door's connections, below Node's header timeout.
process.env.KEEP_ALIVE_TIMEOUT ??= "55000";
await import("../.next/standalone/web/server.js");
