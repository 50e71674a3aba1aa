#!/usr/bin/env node
/**
 * `portolan COMMAND`. JavaScript, so that any Node can read it: a version without TypeScript support starts the Node that the project
 * pins.
 */
import "./compile-cache.js";
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

if (process.features.typescript) {
  const [{ run }, { EXIT }, { handleOutputErrors }] = await Promise.all([
    import("./program.ts"),
    import("./commands/exit.ts"),
    import("./terminal/output.ts"),
  ]);
  handleOutputErrors(EXIT.unknown);
  const { stdin, stdout, stderr, env } = process;
  process.exitCode = await run(process.argv.slice(2), { stdin, stdout, stderr, env, cwd: process.cwd() });
} else {
  const [node, program] = [pathOf("../node_modules/.bin/node"), fileURLToPath(import.meta.url)];
  const { error, status, signal } = spawnSync(node, [program, ...process.argv.slice(2)], {
    stdio: "inherit",
  });
  if (error) console.error(`The Node that Portolan needs isn't installed; run: npm ci (${error.message})`);
  process.exitCode = error ? 2 : (status ?? 128 + constants.signals[signal]);
}

function pathOf(relative) {
  return fileURLToPath(new URL(relative, import.meta.url));
}
