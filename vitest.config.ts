import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { keepTemporaryFilesInMemory } from "./test/support/node/memory-folder.ts";
import { pageAssets } from "./test/support/node/page-assets.ts";
import { byRuntime } from "./test/support/node/runtime.ts";
import { withoutSourceMaps } from "./test/support/node/source-maps.ts";

/** They start processes and wait for them. */
const processTests = [
  "test/sockets/**/*.test.ts",
  "test/scripts/**/*.test.ts",
  "test/support/node/**/*.test.ts",
];
const elsewhere = [...processTests, "test/e2e/**", "test/bench/**", "test/soak/**"];
keepTemporaryFilesInMemory();
const { workerd, node } = byRuntime(["test/**/*.test.ts"], elsewhere);

/**
 * Three projects: `workerd` runs what needs the Worker's own runtime, `node` what runs anywhere, and `processes` starts the
 * mirror and the commands as a person does and talks to them over real sockets. test/e2e and test/bench have runs of their
 * own. A busy machine takes its time, so time-outs are long: what must be quick is counted, never timed.
 */
export default defineConfig({
  plugins: [pageAssets()],
  test: {
    // Tests compute more than they wait: further workers only take turns.
    maxWorkers: 2,
    setupFiles: ["./test/support/equal-bytes.ts"],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        plugins: [
          withoutSourceMaps("itty-router"),
          // Not verbose: workerd would log each error that a Durable Object throws to its caller, which the caller handles.
          cloudflareTest({ wrangler: { configPath: "./wrangler.toml" }, verbose: false }),
        ],
        test: { name: "workerd", include: workerd, isolate: false },
      },
      { extends: true, test: { name: "node", include: node, isolate: false, pool: "threads" } },
      {
        extends: true,
        // With a larger nursery: these tests move megabytes, and a tenth of their time went into collecting them.
        test: {
          name: "processes",
          include: processTests,
          isolate: false,
          execArgv: ["--min-semi-space-size=32", "--max-semi-space-size=64"],
        },
      },
    ],
  },
});
