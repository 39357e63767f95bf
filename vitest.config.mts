import path from "node:path";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  resolve: {
    alias: [
      { find: "@", replacement: path.join(import.meta.dirname, "web/src") },
      { find: "server-only", replacement: path.join(import.meta.dirname, "web/test/server-only.ts") },
    ].map(({ find, replacement }) =>
      find === "@" ? { find: /^@\//, replacement: `${replacement}/` } : { find, replacement },
    ),
  },
  test: {
    environment: "happy-dom",
    include: ["sdk/typescript/**/test/**/*.test.{ts,tsx}", "web/test/**/*.test.{ts,tsx}"],
    exclude: ["**/node_modules/**", "**/.next/**"],
    setupFiles: [path.join(import.meta.dirname, "sdk/typescript/test/setup.ts")],
    restoreMocks: true,
  },
});
