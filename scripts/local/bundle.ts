/** Bundles the modules that workerd runs, as they are deployed but for their size. */
import { build, stop } from "esbuild";

let running = 0;

/** @returns the code of each entry point, in their order. */
export async function bundle(entryPoints: string[]): Promise<string[]> {
  running++;
  try {
    const result = await build({
      entryPoints,
      outdir: "out",
      bundle: true,
      format: "esm",
      target: "es2024",
      conditions: ["workerd", "worker", "browser"],
      external: ["cloudflare:*", "node:*"],
      write: false,
      logLevel: "silent",
    });
    return result.outputFiles.map(({ text }) => text);
  } finally {
    // esbuild's service process would otherwise stay alive for as long as the mirror runs.
    if (--running === 0) await stop();
  }
}
