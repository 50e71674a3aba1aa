/** Stored content seen as images, and in which order they leave. */
import { describe, expect, test } from "vitest";
import type { CachedContent } from "../../src/ledger/cached.ts";
import { evictionOrder, planEviction } from "../../src/ledger/eviction.ts";
import { imagesOf, namesOf } from "../../src/ledger/images.ts";
import type { UseRecord } from "../../src/ledger/uses.ts";
import { worthOf } from "../../src/ledger/worth.ts";
import type { Digest } from "../../src/oci/digest.ts";
import { contentKey, type Visibility } from "../../src/store/store.ts";

const NOW = Date.UTC(2026, 10, 1);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const digest = (name: string): Digest =>
  `sha256:${[...name]
    .map((each) => each.charCodeAt(0).toString(16).padStart(2, "0"))
    .join("")
    .padEnd(64, "0")}`;

interface Given {
  name: string;
  blobs?: Record<string, number>;
  manifests?: string[];
  tag?: string;
  visibility?: Visibility;
  /** Milliseconds before NOW. */
  storedAgo?: number;
  use?: Partial<UseRecord>;
}

/** A store of manifests of a kilobyte with their blobs, and blobs that no manifest refers to. */
function cached(
  given: readonly Given[],
  loose: Record<string, number> = {},
  isComplete = true,
): CachedContent {
  const objects = new Map<string, { key: string; size: number; stored: number }>();
  const put = (key: string, size: number, ago: number) => {
    if (!objects.has(key)) objects.set(key, { key, size, stored: NOW - ago });
  };
  for (const { name, blobs = {}, visibility = "public", storedAgo = 5 * HOUR } of given) {
    put(contentKey("manifests", digest(name), visibility), 1_000, storedAgo);
    for (const [blob, size] of Object.entries(blobs))
      put(contentKey("blobs", digest(blob), visibility), size, storedAgo);
  }
  for (const [blob, size] of Object.entries(loose))
    put(contentKey("blobs", digest(blob), "public"), size, 5 * HOUR);
  return {
    objects,
    links: [],
    isComplete,
    level: 0,
    references: new Map(
      given.map(({ name, blobs = {}, manifests = [] }) => [
        digest(name),
        { digest: digest(name), manifests: manifests.map(digest), blobs: Object.keys(blobs).map(digest) },
      ]),
    ),
    uses: new Map(
      given.flatMap(({ name, use }) => {
        if (!use) return [];
        const record = { digest: digest(name), source: `docker.io/${name}`, first: NOW, last: NOW };
        return [[digest(name), { ...record, uses: 1, level: 0, ...use }] as const];
      }),
    ),
    tags: given.flatMap(({ name, tag, visibility = "public" }) =>
      tag === undefined
        ? []
        : [
            {
              ...{ upstream: "docker.io", repository: name, tag, visibility },
              ...{ digest: digest(name), mediaType: "", size: 1_000, confirmed: NOW },
            },
          ],
    ),
  };
}

const options = { pin: [], now: NOW };
const order = (given: CachedContent, pin: string[] = []) =>
  evictionOrder(imagesOf(given, { pin, now: NOW })).map((unit) =>
    "key" in unit ? unit.key : namesOf(unit).join(" "),
  );
const MB = 1_000_000;

describe("an image", () => {
  test("is an index with its platforms, and takes what it shares with nothing else", () => {
    const { images } = imagesOf(
      cached([
        { name: "index", manifests: ["amd64", "arm64"], tag: "1" },
        { name: "amd64", blobs: { base: 50, own: 7 } },
        { name: "other", blobs: { base: 50, mine: 9 }, tag: "2" },
      ]),
      options,
    );
    expect(images.map((image) => [namesOf(image)[0], image.size, image.alone, image.isWhole])).toEqual([
      ["docker.io/index:1", 2_057, 2_007, true],
      ["docker.io/other:2", 1_059, 1_009, true],
    ]);
  });

  test("is a platform by itself too where a tag names it", () => {
    const { images } = imagesOf(
      cached([
        { name: "index", manifests: ["amd64"], tag: "1" },
        { name: "amd64", blobs: { own: 7 }, tag: "1-amd64" },
      ]),
      options,
    );
    expect(images.map((image) => [namesOf(image)[0], image.size, image.alone])).toEqual([
      ["docker.io/index:1", 2_007, 1_000],
      ["docker.io/amd64:1-amd64", 1_007, 0],
    ]);
  });

  test("is incomplete without one of its blobs, or any of its platforms", () => {
    const given = cached([
      { name: "index", manifests: ["amd64"] },
      { name: "cut", blobs: { base: 1, gone: 1 } },
    ]);
    (given.objects as Map<string, unknown>).delete(contentKey("blobs", digest("gone"), "public"));
    expect(imagesOf(given, options).images.map(({ isWhole }) => isWhole)).toEqual([false, false]);
  });

  test("that is public never counts a private copy of what it needs, and one that is private counts both", () => {
    const given = cached([
      { name: "open", blobs: { base: 10 } },
      { name: "secret", blobs: { base: 10 }, visibility: "private" },
    ]);
    expect(imagesOf(given, options).images.map(({ size, alone }) => [size, alone])).toEqual([
      [1_010, 1_000],
      [1_020, 1_010],
    ]);
  });

  test("without a tag is named by where it was pulled from, as far as that is known", () => {
    const { images } = imagesOf(cached([{ name: "known", use: {} }, { name: "unknown" }]), options);
    expect(images.flatMap(namesOf)).toEqual([`docker.io/known@${digest("known")}`, `@${digest("unknown")}`]);
  });
});

describe("what leaves first", () => {
  test("is what was used in fewer hours, of the same size", () => {
    const given = cached([
      { name: "popular", blobs: { a: 9 * MB }, use: { uses: 5 } },
      { name: "once", blobs: { b: 9 * MB }, use: { uses: 1 } },
      { name: "never", blobs: { c: 9 * MB } },
    ]);
    expect(order(given).map((name) => /(popular|once)@/.exec(name)?.[1] ?? "never")).toEqual([
      "never",
      "once",
      "popular",
    ]);
  });

  test("is what takes more for as many uses", () => {
    const given = cached([
      { name: "small", blobs: { a: 4 * MB }, tag: "1", use: { uses: 2 } },
      { name: "large", blobs: { b: 400 * MB }, tag: "1", use: { uses: 2 } },
    ]);
    expect(order(given)).toEqual(["docker.io/large:1", "docker.io/small:1"]);
  });

  test("is what was popular at a lower level", () => {
    const given = cached([
      { name: "once-popular", tag: "1", use: { uses: 9, level: 0 } },
      { name: "new", tag: "1", use: { uses: 1, level: 10 } },
    ]);
    expect(order(given)).toEqual(["docker.io/once-popular:1", "docker.io/new:1"]);
  });

  test("is what was used longest ago, where that is all that is known", () => {
    const given = cached([
      { name: "newer", tag: "1", storedAgo: 2 * HOUR },
      { name: "older", tag: "1", storedAgo: 3 * HOUR },
    ]);
    expect(order(given)).toEqual(["docker.io/older:1", "docker.io/newer:1"]);
  });

  test("is what no image needs, unless that can't be known or it has come just now", () => {
    const image: Given = { name: "image", tag: "1", storedAgo: 9 * HOUR };
    const loose = contentKey("blobs", digest("loose"), "public");
    expect(order(cached([{ ...image, use: { uses: 1 } }], { loose: 1 }))).toEqual([
      loose,
      "docker.io/image:1",
    ]);
    expect(order(cached([image], { loose: 1 }, false))).toEqual(["docker.io/image:1", loose]);
  });

  test("is never what is being pulled: an image of which anything was stored within ten minutes", () => {
    const given = cached([
      { name: "arriving", blobs: { a: 900 * MB }, tag: "1", storedAgo: 9 * MINUTE },
      { name: "popular", tag: "1", storedAgo: 11 * MINUTE, use: { uses: 90 } },
    ]);
    expect(order(given)).toEqual(["docker.io/popular:1", "docker.io/arriving:1"]);
  });

  test("is nothing that is pinned", () => {
    const given = cached([
      { name: "library/alpine", tag: "3" },
      { name: "library/nginx", tag: "1" },
    ]);
    expect(order(given, ["docker.io/library/alpine:3"])).toEqual(["docker.io/library/nginx:1"]);
    expect(order(given, ["docker.io/library/*"])).toEqual([]);
    expect(order(given, ["docker.io/library/*:9"])).toHaveLength(2);
  });
});

describe("a plan", () => {
  test("frees no more than it must, blobs before manifests, and what a kept image needs not at all", () => {
    const given = cached([
      { name: "first", blobs: { base: 5 * MB, one: 2 * MB }, use: { uses: 1 } },
      { name: "second", blobs: { base: 5 * MB, two: 2 * MB }, use: { uses: 2 } },
    ]);
    const plan = planEviction(given, { ...options, target: 8 * MB });
    expect(plan.keys).toEqual([
      contentKey("blobs", digest("one"), "public"),
      contentKey("manifests", digest("first"), "public"),
    ]);
    expect(plan.freed).toBe(2 * MB + 1_000);
    expect(plan.level).toBe(worthOf({ size: 7 * MB + 1_000, uses: 1, level: 0 }));
  });

  test("frees a shared blob with the last image that needs it", () => {
    const given = cached([
      { name: "first", blobs: { base: 5 * MB } },
      { name: "second", blobs: { base: 5 * MB } },
    ]);
    const plan = planEviction(given, { ...options, target: 0 });
    expect(new Set(plan.keys)).toEqual(new Set(given.objects.keys()));
    expect(plan.keys).toHaveLength(3);
  });
});
