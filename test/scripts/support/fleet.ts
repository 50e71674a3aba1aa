/** A publisher and mirrors of it, all fake registries on sockets, and images of which it is known when they were made. */
import { createFakeRegistry, type FakeRegistry, gzip, tarLayer, utf8 } from "../../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../../support/node/listen.ts";

export interface Harbour {
  registry: FakeRegistry;
  url: string;
}

export const REPOSITORY = "library/boat";
export const IMAGE = "boat:1.0";
const TYPE = "application/vnd.oci.image";

/** Registries that request no token, with the means to end them. */
export async function harbours(number: number): Promise<{ all: Harbour[]; close(): Promise<void> }> {
  const open: ListeningRegistry[] = [];
  const all: Harbour[] = [];
  for (let index = 0; index < number; index++) {
    const registry = createFakeRegistry({ auth: "none" });
    const listening = await listen(registry);
    open.push(listening);
    all.push({ registry, url: listening.url });
  }
  return {
    all,
    close: async () => {
      await Promise.all(open.map((each) => each.close()));
    },
  };
}

export interface Launched {
  index: string;
  manifests: string[];
  layers: string[];
}

/**
 * Pushes an image with an index under `1.0`: the same digests wherever it is pushed with the same build.
 * @param made as in a config: `2026-03-01T00:00:00Z`.
 */
export async function launch(
  { registry }: Harbour,
  build: string,
  made: string,
  platforms: readonly string[] = ["linux/amd64", "linux/arm64"],
): Promise<Launched> {
  const manifests = [];
  const layers: string[] = [];
  for (const platform of platforms) {
    const [os, architecture] = platform.split("/");
    const texts = { "common.txt": "all have this", [`${architecture}.txt`]: `${build} for ${platform}` };
    const own = [];
    for (const [name, text] of Object.entries(texts)) {
      const blob = await registry.addBlob(await gzip(tarLayer({ [name]: text })), { repository: REPOSITORY });
      own.push({ mediaType: `${TYPE}.layer.v1.tar+gzip`, ...blob });
      layers.push(blob.digest);
    }
    const facts = { created: made, os, architecture, rootfs: { type: "layers", diff_ids: [] } };
    const config = await registry.addBlob(utf8(JSON.stringify(facts)), { repository: REPOSITORY });
    const manifest = {
      schemaVersion: 2,
      mediaType: `${TYPE}.manifest.v1+json`,
      config: { mediaType: `${TYPE}.config.v1+json`, ...config },
      layers: own,
    };
    const { digest, size, mediaType } = await registry.addManifest(REPOSITORY, manifest);
    manifests.push({ mediaType, digest, size, platform: { os, architecture } });
  }
  const index = { schemaVersion: 2, mediaType: `${TYPE}.index.v1+json`, manifests };
  const { digest } = await registry.addManifest(REPOSITORY, index, { tag: "1.0" });
  return { index: digest, manifests: manifests.map((each) => each.digest), layers };
}
