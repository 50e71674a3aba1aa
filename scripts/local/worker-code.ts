/** The code that workerd runs: bundled from the sources now or at an earlier start, or as a container image carries it. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readIfThere } from "../files.ts";
import { keptCode, type WorkerCode } from "./kept-code.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Where `scripts/container/bundle.ts` puts the bundles of an image, which has no bundler. */
export const CARRIED = join(ROOT, "bundled");
const SOURCES = fileURLToPath(new URL("worker", import.meta.url));

let code: Promise<WorkerCode> | undefined;

/** The same for as long as this process runs, like its own code. */
export function workerCode(): Promise<WorkerCode> {
  code ??= found().catch((error) => {
    code = undefined;
    throw error;
  });
  return code;
}

async function found(): Promise<WorkerCode> {
  const [mirror, store] = await Promise.all(
    ["mirror.js", "store.js"].map((name) => readIfThere(join(CARRIED, name))),
  );
  if (mirror && store) return { "mirror.js": mirror, "store.js": store };
  return keptCode(ROOT, bundledNow);
}

/** Bundles the sources. */
export async function bundledNow(): Promise<WorkerCode> {
  const { bundle } = await import("./bundle.ts");
  const [mirror = "", store = ""] = await bundle(
    ["mirror.ts", "store.ts"].map((name) => join(SOURCES, name)),
  );
  return { "mirror.js": mirror, "store.js": store };
}
