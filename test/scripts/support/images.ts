/** Images by their digests alone, for what is decided without asking anybody. */
import { createHash } from "node:crypto";
import type { Image, PlatformImage } from "../../../scripts/image/image.ts";
import type { ReadOutcome } from "../../../scripts/image/read-outcome.ts";
import type { MirrorView } from "../../../scripts/verify/compare.ts";
import type { Digest } from "../../../src/oci/digest.ts";
import type { Descriptor } from "../../../src/oci/manifest.ts";

export function digest(seed: string): Digest {
  return `sha256:${createHash("sha256").update(seed).digest("hex")}`;
}

export function descriptor(
  seed: string,
  mediaType = "application/vnd.oci.image.layer.v1.tar+gzip",
): Descriptor {
  return { mediaType, digest: digest(seed), size: 1000 };
}

/** A platform with a layer that all have, and one of its own. `build` changes everything but the common layer. */
export function platform(name: string, build: string): PlatformImage {
  return {
    name,
    manifest: descriptor(`manifest ${name} ${build}`),
    config: descriptor(`config ${name} ${build}`),
    layers: [descriptor("common"), descriptor(`layer ${name} ${build}`)],
  };
}

export function image(build: string, names: readonly string[] = ["linux/amd64", "linux/arm64"]): Image {
  return {
    root: descriptor(`index ${build} ${names}`),
    isIndex: true,
    platforms: names.map((name) => platform(name, build)),
  };
}

/** A mirror that gives an image whole, but for `outcomes`. */
export function viewOf(seen: Image, outcomes: Record<string, ReadOutcome> = {}): MirrorView {
  const all = seen.platforms.flatMap(({ manifest, config, layers }) => [
    manifest,
    ...(config === null ? [] : [config]),
    ...layers,
  ]);
  const given = all.map((each): [Digest, ReadOutcome] => [
    each.digest,
    outcomes[each.digest] ?? { kind: "given" },
  ]);
  return {
    root: { kind: "given" },
    image: seen,
    outcomes: new Map(given),
    published: new Set(),
    made: new Map(),
  };
}
