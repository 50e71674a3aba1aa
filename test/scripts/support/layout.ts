/** OCI image layouts in folders, as tests look at them. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { digestOf } from "./docker-archive.ts";

export interface LayoutDescriptor {
  mediaType: string;
  digest: string;
  size: number;
  annotations?: Record<string, string>;
}

export interface LayoutManifest {
  mediaType: string;
  config: LayoutDescriptor;
  layers: LayoutDescriptor[];
}

export async function indexOf(layout: string): Promise<LayoutDescriptor[]> {
  return JSON.parse(await readFile(join(layout, "index.json"), "utf8")).manifests;
}

export async function manifestAt(layout: string, digest: string): Promise<LayoutManifest> {
  return JSON.parse(String(await blobAt(layout, digest)));
}

export function blobAt(layout: string, digest: string): Promise<Buffer> {
  return readFile(join(layout, "blobs", digest.replace(":", "/")));
}

/** The digests of a layout's blobs, sorted. @throws Error for one whose bytes are something else. */
export async function blobsIn(layout: string): Promise<string[]> {
  const digests: string[] = [];
  for (const name of await readdir(join(layout, "blobs", "sha256"))) {
    const actual = digestOf(await blobAt(layout, `sha256:${name}`));
    if (actual !== `sha256:${name}`) throw new Error(`${name} is ${actual}`);
    digests.push(actual);
  }
  return digests.sort();
}
