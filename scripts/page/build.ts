/** Writes the module of the files that the pages load, for Wrangler: `[build]` in wrangler.toml. */
import { writeFile } from "node:fs/promises";
import { stop } from "esbuild";
import { ASSETS_MODULE, assetsModule } from "./assets.ts";

await writeFile(ASSETS_MODULE, await assetsModule());
await stop();
