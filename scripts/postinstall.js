/**
 * Removes the C headers that the package `node` installs: 67 MB, a fifth of an installation without development dependencies.
 * Nothing here compiles native modules. JavaScript, so that any Node can run it.
 */
import { readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const packages = fileURLToPath(new URL("../node_modules/node/node_modules/", import.meta.url));
for (const name of namesIn(packages)) {
  rmSync(`${packages}${name}/include`, { recursive: true, force: true });
}

/** There are none where npm was told to run no scripts of `node`'s. */
function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
