/**
 * Removes what packages install and nothing here uses: the C headers of the package `node`, 67 MB, a fifth of an installation without
 * development dependencies, and the native code of tar-stream's packages for another runtime than Node, Bare.
 * JavaScript, so that any Node can run it.
 */
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../node_modules/", import.meta.url));
const nodes = `${packages}node/node_modules/`;
for (const name of namesIn(nodes)) remove(`${nodes}${name}/include`);
for (const name of namesIn(packages)) {
  if (name.startsWith("bare-")) remove(`${packages}${name}/prebuilds`);
}

function remove(folder) {
  rmSync(folder, { recursive: true, force: true });
}

/** There are none where npm was configured to run no scripts of `node`'s. */
function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
