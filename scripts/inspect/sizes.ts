/** What platforms of an image weigh, and what they have in common. Pure. */
import type { Digest } from "../../src/oci/digest.ts";
import type { PlatformImage } from "../image/image.ts";

export interface PlatformSize {
  name: string;
  /** Bytes of all it leads to, each object once. */
  total: number;
  /** Bytes of those that other platforms lead to as well. */
  shared: number;
}

export interface ImageSize {
  platforms: PlatformSize[];
  /** Bytes of all platforms together, what they share counted once. */
  total: number;
}

export function sizesOf(platforms: readonly PlatformImage[]): ImageSize {
  const contents = platforms.map((platform) => ({ name: platform.name, sizes: contentOf(platform) }));
  const users = new Map<Digest, number>();
  for (const { sizes } of contents) {
    for (const digest of sizes.keys()) users.set(digest, (users.get(digest) ?? 0) + 1);
  }
  const all = new Map(contents.flatMap(({ sizes }) => [...sizes]));
  return {
    platforms: contents.map(({ name, sizes }) => ({
      name,
      total: sum(sizes.values()),
      shared: sum([...sizes].filter(([digest]) => (users.get(digest) ?? 0) > 1).map(([, size]) => size)),
    })),
    total: sum(all.values()),
  };
}

function contentOf({ manifest, config, layers }: PlatformImage): Map<Digest, number> {
  const all = [manifest, ...(config === null ? [] : [config]), ...layers];
  return new Map(all.map(({ digest, size }) => [digest, size]));
}

function sum(sizes: Iterable<number>): number {
  let total = 0;
  for (const size of sizes) total += size;
  return total;
}
