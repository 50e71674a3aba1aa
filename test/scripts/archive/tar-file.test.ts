import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { pack } from "tar-stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ContentFolder } from "../../../scripts/archive/content-folder.ts";
import { openTar } from "../../../scripts/archive/tar-file.ts";
import { type TarEntry, tar } from "../../e2e/support/tar.ts";

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "tar-file-"));
  file = join(folder, "image.tar");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const large = Buffer.alloc(1_000_000, "large");
const entries: readonly TarEntry[] = [
  { type: "directory", path: "blobs" },
  { type: "file", path: "blobs/large", content: large },
  { type: "file", path: "./dotted", content: Buffer.from("dotted") },
  { type: "file", path: "empty", content: Buffer.alloc(0) },
  { type: "symlink", path: "one/link", target: "../blobs/large" },
  { type: "hardlink", path: "hard", target: "./dotted" },
  { type: "symlink", path: "circle", target: "circle" },
];

function opened(): Promise<ContentFolder> {
  return openTar(file, { TMPDIR: folder });
}

async function read(from: ContentFolder, path: string, length?: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of from.read(path, length)) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function expectContent(): Promise<void> {
  const tar = await opened();
  try {
    expect(await tar.size("blobs/large")).toBe(large.byteLength);
    const all = ["dotted", "blobs/large", "one/link", "empty", "hard"].map((path) => read(tar, path));
    const [dotted, blob, link, empty, hard] = await Promise.all(all);
    expect([dotted, hard, empty].map(String)).toEqual(["dotted", "dotted", ""]);
    expect(blob?.equals(large) && link?.equals(large)).toBe(true);
    expect(String(await read(tar, "blobs/large", 3))).toBe("lar");
    for (const path of ["blobs", "circle", "missing", "../image.tar"]) {
      expect(await tar.size(path)).toBeNull();
    }
  } finally {
    await tar.close();
  }
}

describe("a tar", () => {
  test("is read in any order, links included", async () => {
    await writeFile(file, tar(entries));
    await expectContent();
  });

  test.each([
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ])("compressed with %s is read, and its temporary file is gone at once", async (_, compress) => {
    await writeFile(file, compress(tar(entries)));
    await expectContent();
    const open = await opened();
    expect(await readdir(folder)).toEqual(["image.tar"]);
    await open.close();
  });

  test("from a pipe is read", async () => {
    await promisify(execFile)("mkfifo", [file]);
    const written = writeFile(file, tar(entries));
    const open = await opened();
    await written;
    expect(await open.size("blobs/large")).toBe(large.byteLength);
    await open.close();
  });
});

describe("refused, with the file's name, is", () => {
  test.each([
    ["a name that leads out", { type: "file", path: "../out", content: large }],
    ["a name that leads out on the way", { type: "file", path: "blobs/../../out", content: large }],
    ["an absolute name", { type: "file", path: "/etc/passwd", content: large }],
    ["a link that leads out", { type: "symlink", path: "blobs/link", target: "../../out" }],
    ["an absolute link", { type: "symlink", path: "link", target: "/etc/passwd" }],
    ["a hard link that leads out", { type: "hardlink", path: "link", target: "../out" }],
  ] satisfies [string, TarEntry][])("%s", async (_, entry) => {
    await writeFile(file, tar([...entries, entry]));
    await expect(opened()).rejects.toThrow(new RegExp(`^${file}: its entry .* leads out of the archive$`));
  });

  test("a tar that breaks off, with the entry", async () => {
    await writeFile(file, tar(entries));
    await truncate(file, 500_000);
    await expect(opened()).rejects.toThrow(new RegExp(`^${file}: it is broken at or after blobs/large: `));
  });

  test("a broken header", async () => {
    const bytes = tar(entries);
    bytes.fill(1, 512, 1024);
    await writeFile(file, bytes);
    await expect(opened()).rejects.toThrow(new RegExp(`^${file}: it is broken at or after blobs/: `));
  });

  test("gzip that breaks off", async () => {
    await writeFile(file, gzipSync(tar(entries)).subarray(0, -100));
    await expect(opened()).rejects.toThrow(new RegExp(`^${file}: .*unexpected end of file`));
    expect(await readdir(folder)).toEqual(["image.tar"]);
  });

  test.each([
    ["xz", Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), /compressed with xz/],
    ["text", Buffer.from("no tar at all ".repeat(100)), /it isn't a tar/],
    ["nothing", Buffer.alloc(0), /it isn't a tar/],
  ])("%s", async (_, bytes, why) => {
    await writeFile(file, bytes);
    await expect(opened()).rejects.toThrow(why);
  });

  test("more entries than are kept in memory", async () => {
    const many = Array.from({ length: 20_001 }, (_, index) => `${index}`);
    await writeFile(file, tar(many.map((path) => ({ type: "file", path, content: Buffer.alloc(0) }))));
    await expect(opened()).rejects.toThrow(/it has more than 20000 entries/);
  });

  test("a name that is too long to be kept", async () => {
    const written = pack();
    written.entry({ name: "long/".repeat(1_000), size: 0 }).end(null);
    written.finalize();
    await writeFile(file, written as unknown as AsyncIterable<Uint8Array>);
    await expect(opened()).rejects.toThrow(/a name has more than 4096 characters/);
  });

  test("a folder, and what isn't there", async () => {
    await expect(openTar(folder, {})).rejects.toThrow(/it is a folder; a folder is named by oci:/);
    await expect(opened()).rejects.toThrow(`there is no file ${file}`);
  });
});
