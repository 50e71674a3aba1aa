/** Opens what a location names: as a source or as a target of a copy. */
import { resolve } from "node:path";
import { DOCKER_INDEX } from "../../src/oci/layout.ts";
import { readManifest } from "../../src/oci/manifest.ts";
import type { Environment } from "../../src/registry/proxies.ts";
import type { ImageSource, ImageTarget } from "../copy/image-io.ts";
import type { Registries } from "../copy/registry-io.ts";
import { remoteOf, writable } from "../registry/client.ts";
import { formatReference, type ImageReference, manifestReference } from "../registry/reference.ts";
import { type ContentFolder, openFolder } from "./content-folder.ts";
import { daemonArchive, daemonWriter } from "./daemon.ts";
import { DockerSource } from "./docker-source.ts";
import { folderWriter } from "./folder-writer.ts";
import { LayoutSource } from "./layout-source.ts";
import { LayoutWriter } from "./layout-writer.ts";
import type { Location } from "./location.ts";
import { openTar } from "./tar-file.ts";
import { tarFileWriter } from "./tar-writer.ts";

export interface OpenOptions {
  registries: Registries;
  env: Environment;
  /** What paths are relative to. */
  cwd: string;
}

export interface OpenSource {
  source: ImageSource;
  close(): Promise<void>;
}

export interface OpenTarget {
  target: ImageTarget;
  /** Publishes what was copied. */
  commit(): Promise<void>;
  /** Removes what wasn't committed. */
  discard(): Promise<void>;
}

/** @param compress whether layers get compressed that a Docker archive has uncompressed. */
export async function openSource(
  location: Location,
  { registries, env, cwd, compress }: OpenOptions & { compress: boolean },
): Promise<OpenSource> {
  switch (location.kind) {
    case "registry": {
      const { reference } = location;
      const source = registries.source(remoteOf(reference), manifestReference(reference));
      return { source, close: async () => {} };
    }
    case "oci":
    case "oci-archive": {
      const path = resolve(cwd, location.path);
      const folder = location.kind === "oci" ? openFolder(path) : await openTar(path, env);
      return { source: new LayoutSource(folder, location.name), close: folder.close };
    }
    case "docker-archive":
      return dockerSource(await openTar(resolve(cwd, location.path), env), location.reference, compress, env);
    case "docker-daemon": {
      if ("id" in location) return dockerSource(await daemonArchive(location.id, env), null, compress, env);
      const reference = { ...location.reference, tag: location.reference.tag ?? "latest" };
      return dockerSource(await daemonArchive(formatReference(reference), env), reference, compress, env);
    }
  }
}

/** Docker 25 and later write a layout as well, which keeps an image's digests. */
async function dockerSource(
  folder: ContentFolder,
  reference: ImageReference | null,
  compress: boolean,
  env: Environment,
): Promise<OpenSource> {
  try {
    const name = reference && formatReference({ ...reference, tag: reference.tag ?? "latest" });
    const layout = new LayoutSource(folder, name);
    const isDocker = (await folder.size(DOCKER_INDEX)) !== null;
    if (!isDocker || ((await layout.has()) && !(compress && (await isUncompressed(layout))))) {
      return { source: layout, close: folder.close };
    }
    const source = new DockerSource(folder, { reference, compress, env });
    return {
      source,
      close: async () => {
        await source.close();
        await folder.close();
      },
    };
  } catch (error) {
    await folder.close();
    throw error;
  }
}

async function isUncompressed(layout: LayoutSource): Promise<boolean> {
  const manifest = readManifest((await layout.root()).bytes);
  return manifest?.layers.some(({ mediaType }) => mediaType.endsWith(".tar")) ?? false;
}

/**
 * @param reference what Docker is to call the image; null for nothing.
 * @param platform as `linux/amd64`: what older versions of Docker load of an image of several platforms.
 */
export async function openTarget(
  location: Location,
  reference: ImageReference | null,
  { registries, env, cwd, platform }: OpenOptions & { platform: string },
): Promise<OpenTarget> {
  if (location.kind === "registry") {
    const target = registries.target(writable(remoteOf(location.reference)));
    return { target, commit: async () => {}, discard: async () => {} };
  }
  const content =
    location.kind === "docker-daemon"
      ? daemonWriter(env)
      : location.kind === "oci"
        ? await folderWriter(resolve(cwd, location.path))
        : await tarFileWriter(resolve(cwd, location.path));
  const forDocker = location.kind === "docker-archive" || location.kind === "docker-daemon";
  const writer = new LayoutWriter(content, { forDocker, platform });
  return {
    target: writer.target(reference),
    commit: () => writer.commit(),
    discard: () => writer.discard(),
  };
}
