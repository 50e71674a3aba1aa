/** Images: whole, valid images made for a test, which real clients can pull and unpack. */
import type { Bytes } from "./bytes.ts";
import { digestOf, gunzip, gzip, isGzip, ownCopy, tarLayer, utf8 } from "./bytes.ts";
import type { Content, Descriptor, StoredManifest } from "./content.ts";
import * as types from "./media-types.ts";

export type ImageOptions = {
  /** Layers as they go over the wire, tar or gzipped tar, shared by all platforms; otherwise two small ones are made. */
  layers?: readonly Uint8Array[];
  /** `os/architecture[/variant]`. More than one makes an index. */
  platforms?: readonly string[];
  format?: "oci" | "docker";
};

export type Image = {
  /** What the tag names: the index, or the only manifest. */
  target: StoredManifest;
  index: StoredManifest | null;
  manifests: StoredManifest[];
  configs: Descriptor[];
  /** Each layer once, whatever the number of platforms that share it. */
  layers: Descriptor[];
};

type Platform = { os: string; architecture: string; variant?: string };

const FORMATS = {
  oci: {
    index: types.OCI_INDEX,
    manifest: types.OCI_MANIFEST,
    config: types.OCI_CONFIG,
    layer: types.OCI_LAYER,
    layerGzip: types.OCI_LAYER_GZIP,
  },
  docker: {
    index: types.DOCKER_LIST,
    manifest: types.DOCKER_MANIFEST,
    config: types.DOCKER_CONFIG,
    layer: types.DOCKER_LAYER,
    layerGzip: types.DOCKER_LAYER_GZIP,
  },
};

export async function addImage(
  content: Content,
  repository: string,
  tag: string,
  options: ImageOptions = {},
): Promise<Image> {
  const platforms = (options.platforms ?? ["linux/amd64"]).map(parsePlatform);
  const format = FORMATS[options.format ?? "oci"];
  const manifests: StoredManifest[] = [];
  const configs: Descriptor[] = [];
  const layers = new Map<string, Descriptor>();

  for (const platform of platforms) {
    const bodies = options.layers ?? (await defaultLayers(repository, tag, platform));
    const own: Descriptor[] = [];
    const diffIds: string[] = [];
    for (const body of bodies.map(ownCopy)) {
      const mediaType = isGzip(body) ? format.layerGzip : format.layer;
      const descriptor = { mediaType, ...(await content.addBlob(body, { repository })) };
      own.push(descriptor);
      layers.set(descriptor.digest, descriptor);
      diffIds.push(await digestOf(isGzip(body) ? await gunzip(body) : body));
    }
    const config = {
      mediaType: format.config,
      ...(await content.addBlob(configOf(platform, diffIds), { repository })),
    };
    configs.push(config);
    manifests.push(
      await content.addManifest(repository, {
        schemaVersion: 2,
        mediaType: format.manifest,
        config,
        layers: own,
      }),
    );
  }

  const [only] = manifests;
  if (only === undefined) throw new RangeError("an image needs a platform");
  const index =
    manifests.length > 1 ? await addIndex(content, repository, format.index, manifests, platforms) : null;
  const target = index ?? only;
  content.moveTag(repository, tag, target.digest);
  return { target, index, manifests, configs, layers: [...layers.values()] };
}

function addIndex(
  content: Content,
  repository: string,
  mediaType: string,
  manifests: readonly StoredManifest[],
  platforms: readonly Platform[],
): Promise<StoredManifest> {
  return content.addManifest(repository, {
    schemaVersion: 2,
    mediaType,
    manifests: manifests.map((manifest, position) => ({
      mediaType: manifest.mediaType,
      digest: manifest.digest,
      size: manifest.size,
      platform: platforms[position],
    })),
  });
}

function configOf(platform: Platform, diffIds: readonly string[]): Bytes {
  return utf8(
    JSON.stringify({
      created: "2026-01-01T00:00:00Z",
      ...platform,
      config: { Cmd: ["/bin/true"] },
      rootfs: { type: "layers", diff_ids: diffIds },
      history: diffIds.map((_, position) => ({
        created: "2026-01-01T00:00:00Z",
        created_by: `layer ${position}`,
      })),
    }),
  );
}

/** One layer common to all platforms and one of its own, so that a test sees a shared blob without requesting it. */
async function defaultLayers(repository: string, tag: string, platform: Platform): Promise<Bytes[]> {
  const { os, architecture, variant = "" } = platform;
  return [
    await gzip(tarLayer({ "common.txt": `${repository}:${tag}\n` })),
    await gzip(tarLayer({ "platform.txt": `${repository}:${tag} ${os}/${architecture}/${variant}\n` })),
  ];
}

function parsePlatform(text: string): Platform {
  const [os, architecture, variant] = text.split("/");
  if (os === undefined || architecture === undefined) throw new RangeError(`not a platform: ${text}`);
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}
