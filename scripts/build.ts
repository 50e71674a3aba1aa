/** `npm run build`: writes the Worker as one file, and what an upload of it by Cloudflare's API needs beside it. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { parse } from "smol-toml";
import { singleFile } from "./deploy/single-file.ts";
import { MODULE, uploadMetadata } from "./deploy/upload-metadata.ts";

const project = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const code = await singleFile();
const metadata = uploadMetadata(parse(await readFile(project("wrangler.toml"), "utf8")));
await mkdir(project("dist"), { recursive: true });
await writeFile(project(`dist/${MODULE}`), code);
await writeFile(project("dist/metadata.json"), `${JSON.stringify(metadata, null, 2)}\n`);
const size = Math.ceil(gzipSync(code).byteLength / 1024);
console.log(
  `dist/${MODULE} (${size} KiB after gzip) and dist/metadata.json: docs/dashboard.md says where they go`,
);
