/** What the upstreams publish during a soak: images of several layers, and tags that move to new ones. */
import { type FakeRegistry, gzip, patternBytes } from "../support/fake-registry.ts";
import type { Random } from "./random.ts";

export interface Blob {
  digest: string;
  size: number;
}

export interface Published {
  upstream: string;
  /** As clients name it. */
  repository: string;
  /** The digest that the tag referred to: the index, or the only manifest. */
  target: string;
  index: string | null;
  /** One for every platform. */
  manifests: string[];
  /** Configs and layers of all platforms. */
  blobs: Blob[];
}

export interface Tag {
  upstream: string;
  repository: string;
  name: string;
  /** The images it has referred to, oldest first. */
  history: Published[];
}

const KIB = 1024;
/** Bytes; a few more are added, so that no length is round. */
const LAYER_SIZES = [3, 40, 200, 700, 2 * 1024].map((size) => size * KIB);
const PLATFORMS = ["linux/amd64", "linux/arm64", "linux/arm/v7"];
const REPOSITORIES: Record<string, readonly string[]> = {
  "docker.io": ["alpine", "some/application"],
  "plain.test": ["team/service", "team/blobs"],
  "fallbacks.test": ["far/away/deep/image", "manifests"],
};
const TAGS = ["latest", "1.0"];

export class Catalogue {
  readonly tags: Tag[] = [];
  /** Layers by digest: what their bytes should be. */
  readonly layers: Map<string, Uint8Array>;
  readonly #registries: ReadonlyMap<string, FakeRegistry>;
  readonly #random: Random;
  /** Layers that other images may share. */
  readonly #pool: Uint8Array[] = [];
  #made = 0;

  constructor(
    registries: ReadonlyMap<string, FakeRegistry>,
    random: Random,
    layers: Map<string, Uint8Array>,
  ) {
    this.#registries = registries;
    this.#random = random;
    this.layers = layers;
  }

  /** Every image that was ever published. */
  get images(): Published[] {
    return this.tags.flatMap(({ history }) => history);
  }

  /** Publishes an image for every tag. */
  async open(): Promise<void> {
    for (const upstream of this.#registries.keys()) {
      for (const repository of REPOSITORIES[upstream] ?? []) {
        for (const name of TAGS) {
          const tag = { upstream, repository, name, history: [] };
          await this.publish(tag);
          this.tags.push(tag);
        }
      }
    }
  }

  /** Moves a random tag to a new image. */
  async move(): Promise<void> {
    await this.publish(this.#random.pick(this.tags));
  }

  /** @param layers the layers of the new image; new ones are made if omitted. */
  async publish(tag: Tag, layers?: readonly Uint8Array[]): Promise<Published> {
    const random = this.#random;
    const bodies = layers ?? (await this.#newLayers());
    const { upstream, repository, name } = tag;
    const registry = this.#registries.get(upstream);
    if (!registry) throw new Error(`no registry for ${upstream}`);
    const stored =
      upstream === "docker.io" && !repository.includes("/") ? `library/${repository}` : repository;
    const image = await registry.addImage(stored, name, {
      layers: bodies,
      platforms: random.chance(0.6) ? PLATFORMS.slice(0, 2 + random.below(2)) : PLATFORMS.slice(0, 1),
      format: random.chance(0.5) ? "oci" : "docker",
    });
    const published: Published = {
      upstream,
      repository,
      target: image.target.digest,
      index: image.index?.digest ?? null,
      manifests: image.manifests.map(({ digest }) => digest),
      blobs: [...image.configs, ...image.layers].map(({ digest, size }) => ({ digest, size })),
    };
    for (const [position, { digest }] of image.layers.entries()) {
      const bytes = bodies[position];
      if (bytes) this.layers.set(digest, bytes);
    }
    tag.history.push(published);
    return published;
  }

  /** A layer that no other image has. */
  newLayer(size: number): Uint8Array {
    const bytes = patternBytes(size, ++this.#made);
    // Noise that happens to start with the gzip magic number would be mistaken for gzip.
    bytes[0] = 0;
    return bytes;
  }

  async #newLayers(): Promise<Uint8Array[]> {
    const random = this.#random;
    const count = 2 + random.below(3);
    const layers: Uint8Array[] = [];
    for (let made = 0; made < count; made++) {
      if (this.#pool.length > 0 && random.chance(0.2)) {
        const shared = random.pick(this.#pool);
        if (!layers.includes(shared)) layers.push(shared);
        continue;
      }
      const bytes = this.newLayer(random.pick(LAYER_SIZES) + random.below(1000));
      const layer = random.chance(0.2) ? await gzip(new Uint8Array(bytes)) : bytes;
      layers.push(layer);
      this.#pool.push(layer);
    }
    return layers;
  }
}
