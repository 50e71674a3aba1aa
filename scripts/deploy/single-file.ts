/** The Worker as one file, which needs no tool to be deployed with: it is pasted into the editor of Cloudflare's dashboard. */
import { fileURLToPath } from "node:url";
import { bundle } from "../local/bundle.ts";

const ENTRY = fileURLToPath(new URL("../../src/index.ts", import.meta.url));

/** @returns an ES module that imports nothing but what the Workers runtime has. It isn't minified: its owner can read it. */
export async function singleFile(): Promise<string> {
  const [code = ""] = await bundle([ENTRY]);
  return code;
}
