/** Bundles the files that the pages load, one script and one stylesheet, into a module of strings that the Worker imports. */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const source = (name: string) => fileURLToPath(new URL(`../../src/web/${name}`, import.meta.url));

/** Where the module is imported from. Only Wrangler, whose bundler takes no plugins, needs it as a file. */
export const ASSETS_MODULE = source("assets.js");

/** @returns the module's text. */
export async function assetsModule(): Promise<string> {
  const [script, styles] = await Promise.all([bundled("browser/main.ts"), bundled("page.css")]);
  const version = createHash("sha256").update(script).update(styles).digest("hex").slice(0, 12);
  return [
    `export const VERSION = ${JSON.stringify(version)};`,
    `export const SCRIPT = ${JSON.stringify(script)};`,
    `export const STYLES = ${JSON.stringify(styles)};`,
    "",
  ].join("\n");
}

/** Gives the module to a bundle of the Worker. */
export const pageAssets: Plugin = {
  name: "page-assets",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^\.\/assets\.js$/ }, () => ({ path: ASSETS_MODULE, namespace: "page-assets" }));
    onLoad({ filter: /./, namespace: "page-assets" }, async () => ({ contents: await assetsModule() }));
  },
};

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
