/**
 * `npm run docs`: writes docs/clients, a page for each client, from the guides that the command line shows; and the OpenAPI
 * document of the requests below `/_/`.
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { clientPages } from "./config/pages.ts";
import { DOCUMENT, documentText } from "./owner-api/document.ts";

const folder = fileURLToPath(new URL("../docs/clients", import.meta.url));

await mkdir(folder, { recursive: true });
const pages = clientPages();
for (const name of await readdir(folder)) if (!pages.has(name)) await rm(join(folder, name));
for (const [name, content] of pages) await writeFile(join(folder, name), content);
await writeFile(fileURLToPath(new URL(`../${DOCUMENT}`, import.meta.url)), documentText());
console.log(`wrote ${pages.size} pages to docs/clients, and ${DOCUMENT}`);
