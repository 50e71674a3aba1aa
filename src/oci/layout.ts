/** The files of an OCI image layout (image-spec, image-layout.md), and the one that `docker load` reads beside them. */
import { type Digest, digestParts } from "./digest.ts";
import type { Descriptor } from "./manifest.ts";

/** What an index calls an image: most often a tag. */
export const REF_NAME = "org.opencontainers.image.ref.name";
/** What containerd and Docker call it in full. */
export const IMAGE_NAME = "io.containerd.image.name";
export const INDEX = "index.json";
export const DOCKER_INDEX = "manifest.json";
export const LAYOUT = { path: "oci-layout", content: { imageLayoutVersion: "1.0.0" } };

const CONFIGS = [
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.docker.container.image.v1+json",
];

/** An image in manifest.json. */
export interface DockerImage {
  Config: string;
  RepoTags: string[] | null;
  Layers: string[];
}

export function blobPath(digest: Digest): string {
  const { algorithm, hex } = digestParts(digest);
  return `blobs/${algorithm}/${hex}`;
}

/** Whether Docker can load what has this config; it can load no artifacts. */
export function isImageConfig(config: Descriptor | null): config is Descriptor {
  return config !== null && CONFIGS.includes(config.mediaType);
}

export function dockerImage(
  config: Descriptor,
  layers: readonly Descriptor[],
  name: string | null,
): DockerImage {
  return {
    Config: blobPath(config.digest),
    RepoTags: name === null ? null : [name],
    Layers: layers.map(({ digest }) => blobPath(digest)),
  };
}

/** The name as Docker shows it: `alpine:3.20` for `docker.io/library/alpine:3.20`. */
export function familiarName(registry: string, repository: string, tag: string): string {
  const name =
    registry === "docker.io" ? repository.replace(/^library\/(?=[^/]+$)/, "") : `${registry}/${repository}`;
  return `${name}:${tag}`;
}
