/** The bundles of an earlier start are used exactly as long as they are of the same sources. */
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { keptCode } from "../../../scripts/local/kept-code.ts";

const KEPT = "node_modules/.cache/portolan/workers.json";
let root: string;
let bundles: number;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "portolan-kept-code-"));
  bundles = 0;
  onTestFinished(() => rm(root, { recursive: true }));
  await write("node_modules/.package-lock.json", "{}");
  await write("src/index.ts", "export const one = 1;");
});

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
}

const start = () => keptCode(root, async () => ({ "mirror.js": `mirror ${++bundles}`, "store.js": "store" }));

test("another start has them, and only their owner can read them", async () => {
  expect(await start()).toEqual({ "mirror.js": "mirror 1", "store.js": "store" });
  expect(await start()).toEqual({ "mirror.js": "mirror 1", "store.js": "store" });
  expect((await stat(join(root, KEPT))).mode & 0o077).toBe(0);
});

test.each([
  ["a source's content", "src/index.ts", "export const one = 2;"],
  ["a new source", "src/web/page.css", "p {}"],
  ["what the Worker has on one machine only", "scripts/local/worker/mirror.ts", "export {};"],
  ["what makes the page's files", "scripts/page/assets.ts", "export {};"],
  ["the packages that are installed", "node_modules/.package-lock.json", '{"packages":{}}'],
])("%s has them made again", async (_, path, text) => {
  await start();
  await write(path, text);
  expect((await start())["mirror.js"]).toBe("mirror 2");
  expect((await start())["mirror.js"]).toBe("mirror 2");
});

test("they are made again where what is kept is damaged", async () => {
  await start();
  const text = await readFile(join(root, KEPT), "utf8");
  await writeFile(join(root, KEPT), text.slice(0, -5));
  expect((await start())["mirror.js"]).toBe("mirror 2");
});

test("a folder that can't be written to is no obstacle", async () => {
  await write("node_modules/.cache", "a file");
  expect((await start())["mirror.js"]).toBe("mirror 1");
  expect((await start())["mirror.js"]).toBe("mirror 2");
});
