import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { byImport, testFiles } from "./test/support/node/imports.ts";
import { keepTemporaryFilesInMemory } from "./test/support/node/memory-folder.ts";
import { pageAssets } from "./test/support/node/page-assets.ts";
import { withoutSourceMaps } from "./test/support/node/source-maps.ts";

/** They have Node's own modules, files and child processes. */
const onNode = ["test/sockets/**/*.test.ts", "test/scripts/**/*.test.ts", "test/support/node/**/*.test.ts"];
const elsewhere = ["test/e2e/**", "test/bench/**", "test/soak/**"];
keepTemporaryFilesInMemory();
const { importing: mirrors, others: scripts } = byImport(
  testFiles(onNode),
  (path) => path === "scripts/local/mirror.ts",
);
const { importing: workerd, others: node } = byImport(
  testFiles(["test/**/*.test.ts"], [...onNode, ...elsewhere]),
  (module) => module.startsWith("cloudflare:"),
);

/** A larger nursery: these tests move megabytes, and a tenth of their time went into collecting them. */
const execArgv = ["--min-semi-space-size=32", "--max-semi-space-size=64"];

/**
 * Four projects. `npm test` runs three of them: `workerd` has what needs the Worker's own runtime, `scripts` what needs a process
 * of its own and files, `node` what runs anywhere. `npm run test:mirrors` runs the fourth, which starts the mirror as a person
 * does and talks to it over real sockets: a twentieth of the tests, and two fifths of the time. test/e2e and test/bench have runs of
 * their own. A busy machine takes its time, so time-outs are long: what must be quick is counted, never timed.
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
      { extends: true, test: { name: "scripts", include: scripts, isolate: false, execArgv } },
      { extends: true, test: { name: "mirrors", include: mirrors, isolate: false, execArgv } },
    ],
  },
});
