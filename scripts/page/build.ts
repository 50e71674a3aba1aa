/** `npm run page`: writes the module of the files that the pages load. */
import { writeFile } from "node:fs/promises";
import { ASSETS_MODULE, assetsModule } from "./assets.ts";

const text = await assetsModule();
await writeFile(ASSETS_MODULE, text);
console.log(`wrote src/web/assets.generated.ts (${(text.length / 1024).toFixed(1)} KiB)`);
