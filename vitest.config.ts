import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

const nodeTests = [
  "test/sockets/**/*.test.ts",
  "test/scripts/**/*.test.ts",
  "test/support/node/**/*.test.ts",
];

/**
 * Two projects: `workerd` runs what needs only the Worker's own runtime, `node` starts the mirror as
 * `npm start` does and talks to it over real sockets. test/e2e and test/bench have runs of their own.
 */
export default defineConfig({
  test: {
    // Most of a test's time is waited out, for what must not happen too soon: more files than processors can wait at once.
    maxWorkers: 3,
    projects: [
      {
        plugins: [cloudflareTest({ wrangler: { configPath: "./wrangler.toml" } })],
        test: {
          name: "workerd",
          // A busy machine takes its time; what must be quick is counted, never timed.
          testTimeout: 30_000,
          hookTimeout: 30_000,
          include: ["test/**/*.test.ts"],
          exclude: [...nodeTests, "test/e2e/**", "test/bench/**"],
        },
      },
      { test: { name: "node", include: nodeTests, testTimeout: 60_000, hookTimeout: 60_000 } },
    ],
  },
});
