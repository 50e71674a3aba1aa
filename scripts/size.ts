/** Builds the Worker as it would be deployed and compares its size with the budget. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/** KiB after gzip: small enough to start within a few milliseconds wherever a request arrives. */
const BUDGET = 200;

const folder = mkdtempSync(join(tmpdir(), "portolan-size-"));
try {
  execFileSync("wrangler", ["deploy", "--dry-run", "--outdir", folder], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
  });
  const modules = readdirSync(folder).filter((name) => name.endsWith(".js"));
  const size =
    modules.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).byteLength, 0) / 1024;
  console.log(`the Worker takes ${size.toFixed(1)} KiB of the ${BUDGET} KiB it may (gzip)`);
  if (modules.length === 0 || size > BUDGET) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
