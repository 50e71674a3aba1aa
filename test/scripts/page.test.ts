/** What the pages load, against its sources. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ASSETS_MODULE, assetsModule } from "../../scripts/page/assets.ts";

test("src/web/assets.generated.ts is what `npm run page` writes", async () => {
  expect(readFileSync(ASSETS_MODULE, "utf8") === (await assetsModule()), "run npm run page").toBe(true);
});
