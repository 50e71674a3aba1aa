/** Bundles the modules that workerd runs, as they are deployed but for their size. */
import { build, stop } from "esbuild";
import { pageAssets } from "../page/assets.ts";

const bundled = new Map<string, Promise<string[]>>();
/** The builds that there were so far: the end of one stops esbuild's service, and with it any that is running. */
let before: Promise<unknown> = Promise.resolve();

/**
 * Bundles the same entry points once in a process, however many mirrors it starts.
 * @returns the code of each, in their order.
 */
export function bundle(entryPoints: string[]): Promise<string[]> {
  const name = entryPoints.join("\n");
  const known = bundled.get(name);
  if (known) return known;
  const made = before
    .then(() => bundleNow(entryPoints))
    .catch((error) => {
      bundled.delete(name);
      throw error;
    });
  before = made.catch(() => {});
  bundled.set(name, made);
  return made;
}

async function bundleNow(entryPoints: string[]): Promise<string[]> {
  try {
    const result = await build({
      entryPoints,
      outdir: "out",
      bundle: true,
      format: "esm",
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
