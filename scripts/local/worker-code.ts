/** The code that workerd runs: bundled from the sources now or at an earlier start, or as a container image carries it. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readIfThere } from "../files.ts";
import { keptCode, type WorkerCode } from "./kept-code.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Where `scripts/container/bundle.ts` puts the bundles of an image, which has no bundler. */
export const CARRIED = join(ROOT, "bundled");
const SOURCES = fileURLToPath(new URL("worker", import.meta.url));

/** Named as their sources and their bundles are. */
const WORKERS = ["mirror", "store"] as const;

export async function workerCode(): Promise<WorkerCode> {
  const [mirror, store] = await Promise.all(WORKERS.map((name) => readIfThere(join(CARRIED, `${name}.js`))));
  if (mirror && store) return { mirror, store };
  return keptCode(ROOT, bundledNow);
}

/** Bundles the sources. */
export async function bundledNow(): Promise<WorkerCode> {
  const { bundle } = await import("./bundle.ts");
  const [mirror = "", store = ""] = await bundle(WORKERS.map((name) => join(SOURCES, `${name}.ts`)));
  return { mirror, store };
}
