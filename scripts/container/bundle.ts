/** Bundles what workerd runs into the project's folder, while a container image is built. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bundledNow, CARRIED } from "../local/worker-code.ts";

await mkdir(CARRIED, { recursive: true });
for (const [name, code] of Object.entries(await bundledNow())) {
  await writeFile(join(CARRIED, name), code);
}
