/**
 * `npm run docs`: writes docs/clients and docs/zh/clients, a page for each client, from the guides that the command line shows; and the OpenAPI
 * document of the requests below `/_/`.
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CHINESE, ENGLISH } from "./config/page-texts.ts";
import { clientPages } from "./config/pages.ts";
import { DOCUMENT, documentText } from "./owner-api/document.ts";

const inProject = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));

for (const [path, texts] of Object.entries({ "docs/clients": ENGLISH, "docs/zh/clients": CHINESE })) {
  const folder = inProject(path);
  await mkdir(folder, { recursive: true });
  const pages = clientPages(texts);
  for (const name of await readdir(folder)) if (!pages.has(name)) await rm(join(folder, name));
  for (const [name, content] of pages) await writeFile(join(folder, name), content);
  console.log(`wrote ${pages.size} pages to ${path}`);
}
await writeFile(inProject(DOCUMENT), documentText());
console.log(`wrote ${DOCUMENT}`);
