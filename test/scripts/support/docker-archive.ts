/** Archives as `docker save` has written them before version 25, in memory. */
import { createHash } from "node:crypto";
import { type TarEntry, tar } from "../../e2e/support/tar.ts";

export interface DockerArchive {
  /** Of the config, by its digest. */
  id: string;
  /** manifest.json and what it names, to be changed by a test before it is packed. */
  entries: Map<string, TarEntry>;
  bytes(): Buffer;
}

/** @param layers tars, as they are in the archive. @param diffIds of them as the config has them; of the bytes where left out. */
export function dockerArchive(
  repoTags: readonly string[],
  layers: readonly Buffer[],
  diffIds: readonly string[] = layers.map(digestOf),
): DockerArchive {
  const entries = new Map<string, TarEntry>();
  const add = (path: string, content: Buffer) => entries.set(path, { type: "file", path, content });
  const config = Buffer.from(
    JSON.stringify({
      os: "linux",
      architecture: "amd64",
      config: {},
      rootfs: { type: "layers", diff_ids: diffIds },
    }),
  );
  const id = digestOf(config);
  const configPath = `${id.slice("sha256:".length)}.json`;
  const layerPaths = layers.map((_, index) => `layer-${index}/layer.tar`);
  add(configPath, config);
  for (const [index, layer] of layers.entries()) add(layerPaths[index] ?? "", layer);
  add(
    "manifest.json",
    Buffer.from(JSON.stringify([{ Config: configPath, RepoTags: repoTags, Layers: layerPaths }])),
  );
  return { id, entries, bytes: () => tar([...entries.values()]) };
}

/** A layer with one file. */
export function layerOf(text: string): Buffer {
  return tar([{ type: "file", path: "file.txt", content: Buffer.from(text) }]);
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
