/** What verify concludes from what a publisher and a mirror have shown. */
import { describe, expect, test } from "vitest";
import { compare, type Finding, worst } from "../../../scripts/verify/compare.ts";
import { descriptor, digest, image, platform, viewOf } from "../support/images.ts";

const publisher = image("new");

/** `linux/amd64 layer 2: different` for everything that isn't the same. */
function differences(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ state }) => state !== "same")
    .map(({ platform: name, kind, position, state }) =>
      [name, kind, position]
        .filter((part) => part !== null)
        .join(" ")
        .concat(`: ${state}`),
    );
}

test("a mirror that gives the publisher's image is the same in every object", () => {
  const findings = compare(publisher, viewOf(publisher));
  expect(findings.map(({ state }) => state)).toEqual(Array(9).fill("same"));
  expect(worst(findings)).toBe("same");
});

describe("a tag that names another manifest on the mirror", () => {
  const old = image("old");

  test("is stale, with all that hangs on it, if the publisher has that image as well", () => {
    const view = { ...viewOf(old), published: new Set(manifestsOf(old)) };
    const findings = compare(publisher, view);
    expect(differences(findings)).toEqual([
      "index: stale",
      "linux/amd64 manifest: stale",
      "linux/amd64 config: stale",
      "linux/amd64 layer 2: stale",
      "linux/arm64 manifest: stale",
      "linux/arm64 config: stale",
      "linux/arm64 layer 2: stale",
    ]);
  });

  test("is stale as a whole where that image is for fewer platforms and has fewer layers", () => {
    const small = { ...platform("linux/amd64", "old"), layers: [descriptor("common")] };
    const smaller = { ...old, platforms: [small] };
    const findings = compare(publisher, { ...viewOf(smaller), published: new Set(manifestsOf(smaller)) });
    expect(differences(findings)).toContain("linux/arm64 manifest: stale");
    expect(differences(findings)).toContain("linux/amd64 layer 2: stale");
    expect(worst(findings)).toBe("stale");
  });

  test("is missing in part where the mirror can't give what that image has", () => {
    const arm64 = { ...platform("linux/arm64", "old"), config: null, layers: [] };
    const broken = { ...old, platforms: [platform("linux/amd64", "old"), arm64] };
    const outcomes = { [arm64.manifest.digest]: { kind: "missing" as const } };
    const view = { ...viewOf(broken, outcomes), published: new Set(manifestsOf(broken)) };
    expect(worst(compare(publisher, view))).toBe("missing");
  });

  test("is different if the publisher never had that image", () => {
    const findings = compare(publisher, viewOf(old));
    expect(worst(findings)).toBe("different");
    expect(findings[0]).toMatchObject({ state: "different", found: old.root.digest });
  });

  test("is different where only the index is the publisher's and a manifest in it isn't", () => {
    const forged = { ...publisher, root: descriptor("forged"), platforms: [platform("linux/amd64", "evil")] };
    const view = { ...viewOf(forged), published: new Set([digest("something else")]) };
    expect(differences(compare(publisher, view))).toContain("linux/amd64 manifest: different");
  });

  test("says by how much it is behind where the images say when they were made", () => {
    const made = new Map([
      [digest("config linux/amd64 new"), Date.parse("2026-03-11")],
      [digest("config linux/amd64 old"), Date.parse("2026-03-01")],
    ]);
    const view = { ...viewOf(old), published: new Set(manifestsOf(old)), made };
    const findings = compare(publisher, view);
    expect(findings[0]?.behind).toBe(10 * 86_400);
    const behind = Object.fromEntries(
      findings.filter(({ kind }) => kind === "manifest").map((each) => [each.platform, each.behind]),
    );
    expect(behind).toEqual({ "linux/amd64": 10 * 86_400, "linux/arm64": null });
  });
});

test("a platform that the mirror's index lacks is missing, and so is what hangs on it", () => {
  const findings = compare(publisher, viewOf(image("new", ["linux/amd64"])));
  expect(differences(findings)).toEqual([
    "index: different",
    "linux/arm64 manifest: missing",
    "linux/arm64 config: missing",
    "linux/arm64 layer 1: missing",
    "linux/arm64 layer 2: missing",
  ]);
});

test("a manifest that the mirror responds with 404 is missing although its index lists it", () => {
  const gone = publisher.platforms[1]?.manifest.digest ?? "";
  const findings = compare(publisher, viewOf(publisher, { [gone]: { kind: "missing" } }));
  expect(findings[0]?.state).toBe("same");
  expect(differences(findings)).toContain("linux/arm64 manifest: missing");
});

test("a layer with other bytes under its digest is different, on every platform that has it", () => {
  const swapped = { [digest("common")]: { kind: "wrong", reason: "the bytes are sha256:0123" } } as const;
  const findings = compare(publisher, viewOf(publisher, swapped));
  expect(differences(findings)).toEqual(["linux/amd64 layer 1: different", "linux/arm64 layer 1: different"]);
});

test("a manifest of the mirror's own with one layer exchanged is different in just that layer", () => {
  const [amd64, arm64] = publisher.platforms;
  if (!amd64 || !arm64) throw new Error("two platforms");
  const forged = {
    ...publisher,
    root: descriptor("forged index"),
    platforms: [
      { ...amd64, manifest: descriptor("forged"), layers: [descriptor("common"), descriptor("other")] },
      arm64,
    ],
  };
  const findings = compare(publisher, viewOf(forged));
  expect(differences(findings)).toEqual([
    "index: different",
    "linux/amd64 manifest: different",
    "linux/amd64 layer 2: different",
  ]);
  expect(findings.find(({ position }) => position === 2)?.found).toBe(digest("other"));
});

test("a mirror that doesn't response has failed, which is no difference", () => {
  const view = {
    ...viewOf(publisher),
    image: null,
    root: { kind: "failed", reason: "it refuses the connection" },
  } as const;
  expect(worst(compare(publisher, view))).toBe("failed");
});

test("a mirror without the tag misses everything", () => {
  const view = { ...viewOf(publisher), image: null, root: { kind: "missing" } } as const;
  expect(new Set(compare(publisher, view).map(({ state }) => state))).toEqual(new Set(["missing"]));
});

test("an image without an index has no line for one", () => {
  const [only] = publisher.platforms;
  if (!only) throw new Error("a platform");
  const single = { root: only.manifest, isIndex: false, platforms: [only] };
  const findings = compare(single, { ...viewOf(single), outcomes: viewOf(single).outcomes });
  expect(findings.map(({ kind }) => kind)).toEqual(["manifest", "config", "layer", "layer"]);
  expect(worst(findings)).toBe("same");
});

test("a mirror that gives one platform's manifest where the publisher has an index is reported as that", () => {
  const [amd64] = publisher.platforms;
  if (!amd64) throw new Error("a platform");
  const findings = compare(publisher, viewOf({ root: amd64.manifest, isIndex: false, platforms: [amd64] }));
  expect(findings[0]).toMatchObject({
    state: "different",
    reason: "that is the manifest for linux/amd64 alone",
  });
  expect(findings[1]?.state).toBe("same");
  expect(differences(findings)).toContain("linux/arm64 manifest: missing");
});

test("a mirror that gives an index where the publisher has one manifest differs, though the manifest is in it", () => {
  const [only] = publisher.platforms;
  if (!only) throw new Error("a platform");
  const single = { root: only.manifest, isIndex: false, platforms: [only] };
  expect(differences(compare(single, viewOf(publisher)))).toEqual(["index: different"]);
});

test("two manifests without an index are compared though one doesn't say its platform", () => {
  const [only] = publisher.platforms;
  if (!only) throw new Error("a platform");
  const nameless = platform("image", "other");
  const single = { root: only.manifest, isIndex: false, platforms: [only] };
  const other = { root: nameless.manifest, isIndex: false, platforms: [nameless] };
  expect(compare(single, viewOf(other))[0]).toMatchObject({ kind: "manifest", state: "different" });
});

test("layers that must not be distributed are left out: clients get them elsewhere", () => {
  const [only] = publisher.platforms;
  if (!only) throw new Error("a platform");
  const foreign = descriptor("foreign", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
  const windows = { ...publisher, platforms: [{ ...only, layers: [foreign, ...only.layers] }] };
  const findings = compare(windows, viewOf(windows, { [foreign.digest]: { kind: "missing" } }));
  expect(worst(findings)).toBe("same");
  expect(findings.map(({ position }) => position)).toEqual([null, null, null, 2, 3]);
});

function manifestsOf({ root, platforms }: typeof publisher) {
  return [root.digest, ...platforms.map(({ manifest }) => manifest.digest)];
}
