/** Builds the files that the pages load: one script and one stylesheet, as a module of strings that the Worker imports. */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { build, stop } from "esbuild";

const source = (name: string) => fileURLToPath(new URL(`../../src/web/${name}`, import.meta.url));

/** The module that holds them. It is kept in the repository: neither Wrangler nor the tests have a step before bundling. */
export const ASSETS_MODULE = source("assets.generated.ts");

/** @returns the module's text. */
export async function assetsModule(): Promise<string> {
  try {
    const [script, styles] = await Promise.all([bundled("browser/main.ts"), bundled("page.css")]);
    const version = createHash("sha256").update(script).update(styles).digest("hex").slice(0, 12);
    return [
      "// Written by `npm run page` from src/web/browser and src/web/styles.",
      `export const VERSION = ${JSON.stringify(version)};`,
      `export const SCRIPT = ${JSON.stringify(script)};`,
      `export const STYLES = ${JSON.stringify(styles)};`,
      "",
    ].join("\n");
  } finally {
    await stop();
  }
}

async function bundled(name: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [source(name)],
    bundle: true,
    minify: true,
    format: "esm",
    charset: "utf8",
    // What understands light-dark() in the stylesheet.
    target: ["chrome123", "firefox120", "safari17.5"],
    write: false,
    logLevel: "silent",
  });
  return outputFiles[0]?.text ?? "";
}
