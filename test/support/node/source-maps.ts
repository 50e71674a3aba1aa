/** Packages whose source maps point to sources that they don't ship: Vite warns of every one of them, in every run. */
import { readFile } from "node:fs/promises";
import type { Plugin } from "vitest/config";

/** @returns a plugin that loads the modules of a package without their source maps. */
export function withoutSourceMaps(packageName: string): Plugin {
  return {
    name: `without-source-maps:${packageName}`,
    async load(id) {
      if (!id.includes(`/node_modules/${packageName}/`)) return null;
      const code = await readFile(id, "utf8");
      return { code: code.replace(/^\/\/# sourceMappingURL=.*$/m, ""), map: { mappings: "" } };
    },
  };
}
