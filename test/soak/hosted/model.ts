/** What a soak has pushed, and what must therefore be there. */
import { createHash } from "node:crypto";
import type { Random } from "../random.ts";

export interface Content {
  digest: string;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface Image {
  repository: string;
  tags: Set<string>;
  manifest: Content;
  /** The config, then the layers. */
  blobs: readonly Content[];
  /** `uncertain` is for one whose push broke off at the manifest, which may have arrived. */
  state: "live" | "deleted" | "uncertain";
  /** Whether a client changes it just now. */
  isBusy: boolean;
}

const KIB = 1024;
const SIZES = [1, 30, 200, 700].map((size) => size * KIB);
export const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const REPOSITORIES = ["team/a", "team/b", "deep/er/c", "d"];

export class Model {
  readonly images: Image[] = [];
  /** What contradicts the promises; empty if all is well. */
  readonly violations: string[] = [];
  readonly counts: Record<string, number> = {};
  /** Layers that several images have. */
  readonly #pool: Content[] = [];
  #made = 0;

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** An image that isn't there yet, and shares layers with others. */
  make(random: Random): Image {
    const layers = Array.from({ length: 1 + random.below(3) }, () => this.#layer(random));
    const config = contentOf(JSON.stringify({ os: "linux", architecture: "amd64", author: ++this.#made }));
    const described = (content: Content, mediaType: string) => ({
      mediaType,
      digest: content.digest,
      size: content.bytes.byteLength,
    });
    const manifest = contentOf(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: described(config, "application/vnd.oci.image.config.v1+json"),
        layers: layers.map((layer) => described(layer, "application/vnd.oci.image.layer.v1.tar")),
      }),
    );
    const repository = random.pick(REPOSITORIES);
    const blobs = [config, ...new Set(layers)];
    return { repository, tags: new Set(), manifest, blobs, state: "uncertain", isBusy: true };
  }

  /** An image that no other client changes; null if there is none. */
  claim(random: Random): Image | null {
    const free = this.images.filter(({ state, isBusy }) => state === "live" && !isBusy);
    if (free.length === 0) return null;
    const image = random.pick(free);
    image.isBusy = true;
    return image;
  }

  /** A repository that should have a blob, as the source of a mount. */
  sourceOf(blob: Content, target: string): string | null {
    const has = ({ repository, state, blobs }: Image) =>
      state === "live" && repository !== target && blobs.includes(blob);
    return this.images.find(has)?.repository ?? null;
  }

  /** Paths of the files that the store must have, and no others, below `hosted`. */
  files(): Set<string> {
    const path = (kind: string, { digest }: Content) => {
      const hex = digest.slice("sha256:".length);
      return `${kind}/sha256/${hex.slice(0, 2)}/${hex}`;
    };
    const live = this.images.filter(({ state }) => state === "live");
    return new Set(
      live.flatMap(({ manifest, blobs }) => [
        path("manifests", manifest),
        ...blobs.map((blob) => path("blobs", blob)),
      ]),
    );
  }

  #layer(random: Random): Content {
    if (this.#pool.length > 0 && random.chance(0.6)) return random.pick(this.#pool.slice(-40));
    const bytes = new Uint8Array(random.pick(SIZES) + random.below(100));
    for (let at = 0; at < bytes.length; at += 1 + random.below(64)) bytes[at] = random.below(256);
    const layer = contentOf(bytes);
    this.#pool.push(layer);
    return layer;
  }
}

function contentOf(content: string | Uint8Array<ArrayBuffer>): Content {
  const bytes = typeof content === "string" ? new Uint8Array(Buffer.from(content)) : content;
  return { digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}`, bytes };
}
