// Mirrors that are wrong in one way each: docker-registry over copies of the publisher's storage, changed on the disk.
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { workspace } from "./process.ts";
import { type Registry, startRegistry } from "./registry.ts";

/** Where docker-registry's file system driver keeps everything. */
const BASE = "docker/registry/v2";

export interface Storage {
  /** Points a tag at another manifest of the repository. */
  moveTag(repository: string, tag: string, digest: string): Promise<void>;
  /** Takes a manifest out of the repository: 404 from then on. */
  removeManifest(repository: string, digest: string): Promise<void>;
  /** Changes the last byte of a blob, which docker-registry serves as it finds it. */
  corruptBlob(digest: string): Promise<void>;
}

/** @param storage the publisher's; it isn't touched. */
export async function startTampered(
  storage: string,
  tamper: (storage: Storage) => Promise<void>,
): Promise<Registry> {
  const { folder, remove } = await workspace("tampered");
  const copy = join(folder, "storage");
  await cp(storage, copy, { recursive: true });
  const repositoryFile = (repository: string, path: string) =>
    join(copy, BASE, "repositories", repository, "_manifests", path);
  await tamper({
    moveTag: (repository, tag, digest) =>
      writeFile(repositoryFile(repository, `tags/${tag}/current/link`), digest),
    removeManifest: (repository, digest) =>
      rm(repositoryFile(repository, `revisions/${digest.replace(":", "/")}`), { recursive: true }),
    corruptBlob: async (digest) => {
      const [algorithm = "", hex = ""] = digest.split(":");
      const file = join(copy, BASE, "blobs", algorithm, hex.slice(0, 2), hex, "data");
      const bytes = await readFile(file);
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 1) ^ 1, bytes.length - 1);
      await writeFile(file, bytes);
    },
  });
  const registry = await startRegistry({ storage: copy });
  return {
    ...registry,
    stop: async () => {
      await registry.stop();
      await remove();
    },
  };
}
