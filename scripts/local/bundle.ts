/** Bundles the modules that workerd runs, as they are deployed but for the names in them. */
import { build, stop } from "esbuild";
import { pageAssets } from "../page/assets.ts";

/** The builds that there were so far: the end of one stops esbuild's service, and with it any that is running. */
let before: Promise<unknown> = Promise.resolve();

/** @returns the code of each, in their order. */
export function bundle(entryPoints: string[]): Promise<string[]> {
  const made = before.then(() => bundleNow(entryPoints));
  before = made.catch(() => {});
  return made;
}

async function bundleNow(entryPoints: string[]): Promise<string[]> {
  try {
    const result = await build({
      entryPoints,
      outdir: "out",
      bundle: true,
      format: "esm",
      // Less for the runtime to read at its start and to keep in memory; names stay, for the stacks of errors.
      minifyWhitespace: true,
      minifySyntax: true,
      target: "es2024",
      conditions: ["workerd", "worker", "browser"],
      external: ["cloudflare:*", "node:*"],
      plugins: [pageAssets],
      write: false,
      logLevel: "silent",
    });
    return result.outputFiles.map(({ text }) => text);
  } finally {
    // esbuild's service process would otherwise stay alive for as long as the mirror runs.
    await stop();
  }
}
