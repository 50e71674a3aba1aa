/** Gives the Worker under test the module of the files that its pages load, as a bundle of it does. */
import type { Plugin } from "vitest/config";
import { ASSETS_MODULE, assetsModule } from "../../../scripts/page/assets.ts";

export function pageAssets(): Plugin {
  let text: Promise<string> | null = null;
  return {
    name: "page-assets",
    enforce: "pre",
    resolveId: (source) => (source === "./assets.js" ? ASSETS_MODULE : null),
    load: (id) => {
      if (id !== ASSETS_MODULE) return null;
      text ??= assetsModule();
      return text;
    },
  };
}
