// Reads an OCI image layout that a client wrote.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "./client.ts";
import { type Platform, sha256 } from "./image.ts";

export interface Layout {
  /** What the layout's index.json names. */
  digest: string;
  /** The SHA-256 of every file in the layout, sorted. */
  blobs: string[];
}

export async function readLayout(folder: string): Promise<Layout> {
  const index: unknown = JSON.parse(await readFile(join(folder, "index.json"), "utf8"));
  const blobs: string[] = [];
  for (const name of await readdir(join(folder, "blobs", "sha256"))) {
    blobs.push(sha256(await readFile(join(folder, "blobs", "sha256", name))));
  }
  return { digest: text(index, "manifests", 0, "digest"), blobs: blobs.sort() };
}

/** The digests of a platform's manifest, config and layers. */
export function partsOf({ manifest, config, layers }: Platform): string[] {
  return [manifest.digest, config.digest, ...layers.map((layer) => layer.digest)];
}
