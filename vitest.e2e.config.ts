import { defineConfig } from "vitest/config";

/**
 * The end-to-end tests: real clients against the mirror as `npm start` runs it. One file after the other, because
 * two at once would fight for two cores and measure each other.
 */
export default defineConfig({
  test: {
    name: "e2e",
    include: ["test/e2e/**/*.test.ts"],
    globalSetup: ["test/e2e/support/global.ts"],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    reporters: ["verbose"],
  },
});
