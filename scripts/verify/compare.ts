/** Compares what a mirror serves with what the publisher pushed, object by object. Pure: responses come in, findings go out. */
import type { Digest } from "../../src/oci/digest.ts";
import { isForeign } from "../../src/oci/manifest.ts";
import { type Content, type Image, isSameEntry, type PlatformImage } from "../image/image.ts";
import type { ReadOutcome } from "../image/read-outcome.ts";

/** How an object of the mirror's stands to the publisher's; `refused` or `failed` where the mirror couldn't be made to say. */
export type State = "same" | "stale" | "different" | "missing" | "refused" | "failed";

export interface MirrorView {
  /** What came when the tag (or the digest in the reference) was requested. */
  root: ReadOutcome;
  /** The image that it led to; null unless `root` is given. */
  image: Image | null;
  /** What came for the manifests and blobs of that image. */
  outcomes: ReadonlyMap<Digest, ReadOutcome>;
  /** Manifests of that image that the publisher has as well, though the tag no longer leads to them there. */
  published: ReadonlySet<Digest>;
  /** When the images with these configs were made, in milliseconds since 1970, where they say so. */
  made: ReadonlyMap<Digest, number>;
}

export interface Finding {
  kind: "index" | "manifest" | "config" | "layer";
  /** As in `PlatformImage`; null for an index. */
  platform: string | null;
  /** The number of a layer, from 1; null for anything else. */
  position: number | null;
  /** The publisher's. */
  expected: Content;
  /** What the mirror has in its place; null where it has nothing. */
  found: Digest | null;
  state: State;
  /** What more there is to say of the state; null where it says all. */
  reason: string | null;
  /** Seconds by which a stale image was made before the publisher's; negative if after it, null where it isn't known. */
  behind: number | null;
}

type ObjectKey = Pick<Finding, "kind" | "platform" | "position">;

/** Every object of the publisher's image with how it stands on the mirror, in the order of a pull. */
export function compare(publisher: Image, view: MirrorView): Finding[] {
  const root = compareRoot(publisher, view);
  const platforms = publisher.platforms.flatMap((platform) =>
    comparePlatform(platform, publisher, view, root.state),
  );
  // Where neither has an index, the only manifest says all of the tag.
  const hasIndex = publisher.isIndex || (view.image?.isIndex ?? false);
  return hasIndex ? [root, ...platforms] : platforms;
}

/** The state that sums findings up: the worst that there is. */
export function worst(findings: readonly Finding[]): State {
  const order: readonly State[] = ["different", "missing", "stale", "refused", "failed"];
  return order.find((state) => findings.some((finding) => finding.state === state)) ?? "same";
}

function compareRoot(publisher: Image, view: MirrorView): Finding {
  const key: ObjectKey = { kind: "index", platform: null, position: null };
  const root = view.image?.root ?? null;
  const finding = manifestFinding(key, publisher.root, root, view.root, view);
  const single = publisher.platforms.find(({ manifest }) => manifest.digest === root?.digest);
  if (publisher.isIndex && single !== undefined) {
    return { ...finding, state: "different", reason: `that is the manifest for ${single.name} alone` };
  }
  if (finding.state !== "stale") return finding;
  const behind = publisher.platforms.flatMap((platform) => {
    const other = counterpart(platform, publisher, view);
    return (other && behindBy(platform, other, view)) ?? [];
  });
  return { ...finding, behind: behind.length === 0 ? null : Math.max(...behind) };
}

function comparePlatform(
  expected: PlatformImage,
  publisher: Image,
  view: MirrorView,
  root: State,
): Finding[] {
  const other = counterpart(expected, publisher, view);
  const key: ObjectKey = { kind: "manifest", platform: expected.name, position: null };
  const response = other === null ? absence(view) : outcomeOf(other.manifest.digest, view);
  const manifest =
    other === null && root === "stale"
      ? absent(key, expected.manifest, "stale")
      : manifestFinding(key, expected.manifest, other?.manifest ?? null, response, view);
  if (manifest.state === "stale" && other !== null) manifest.behind = behindBy(expected, other, view);
  const below = (content: Content, found: Content | null, where: ObjectKey): Finding =>
    blobFinding(where, content, found, manifest.state, view);

  const findings = [manifest];
  if (expected.config !== null) {
    findings.push(below(expected.config, other?.config ?? null, { ...key, kind: "config" }));
  }
  for (const [index, layer] of expected.layers.entries()) {
    // Clients get these from elsewhere, so that a mirror can't give them wrong.
    if (isForeign(layer)) continue;
    const same = other?.layers.find(({ digest }) => digest === layer.digest);
    const where: ObjectKey = { ...key, kind: "layer", position: index + 1 };
    findings.push(below(layer, same ?? other?.layers[index] ?? null, where));
  }
  return findings;
}

/** The mirror's image for the same platform; that with the same manifest if the index has several of one name. */
function counterpart(expected: PlatformImage, publisher: Image, { image }: MirrorView): PlatformImage | null {
  if (image === null) return null;
  const same = image.platforms.find(({ manifest }) => manifest.digest === expected.manifest.digest);
  const named = same ?? image.platforms.find(({ name }) => isSameEntry(name, expected.name));
  // A manifest without an index says its platform only in its config, which may be missing.
  const only = publisher.isIndex || image.isIndex ? undefined : image.platforms[0];
  return named ?? only ?? null;
}

/** Why a platform has no counterpart: the mirror's image lacks it, or there is no such image. */
function absence({ root, image }: MirrorView): ReadOutcome {
  if (image !== null) return { kind: "missing" };
  return root.kind === "given" ? { kind: "missing" } : root;
}

function outcomeOf(digest: Digest, { outcomes, image, root }: MirrorView): ReadOutcome {
  if (image !== null && image.root.digest === digest) return root;
  return outcomes.get(digest) ?? { kind: "failed", reason: "it wasn't requested" };
}

function manifestFinding(
  key: ObjectKey,
  expected: Content,
  found: Content | null,
  response: ReadOutcome,
  view: MirrorView,
): Finding {
  const finding = { ...key, expected, found: found?.digest ?? null, behind: null };
  if (response.kind !== "given" || found === null) return { ...finding, ...refusal(response) };
  if (found.digest === expected.digest) return { ...finding, state: "same", reason: null };
  if (view.published.has(found.digest)) {
    return { ...finding, state: "stale", reason: "the publisher has it too, but its tag has moved on" };
  }
  return { ...finding, state: "different", reason: "the publisher doesn't have this one" };
}

/** A config or a layer. Where the manifest above it is another one, what differs below it does so for the same reason. */
function blobFinding(
  key: ObjectKey,
  expected: Content,
  found: Content | null,
  above: State,
  view: MirrorView,
): Finding {
  if (found === null) return absent(key, expected, above);
  const finding = { ...key, expected, found: found.digest, behind: null };
  const response = outcomeOf(found.digest, view);
  if (response.kind !== "given") return { ...finding, ...refusal(response) };
  if (found.digest === expected.digest) return { ...finding, state: "same", reason: null };
  return { ...finding, state: above === "stale" ? "stale" : "different", reason: null };
}

/** What the mirror's image doesn't have: an older one may never have had it, and one that wasn't given shows nothing. */
function absent(key: ObjectKey, expected: Content, above: State): Finding {
  const state = ["stale", "refused", "failed"].includes(above) ? above : "missing";
  return { ...key, expected, found: null, state, reason: null, behind: null };
}

function refusal(response: ReadOutcome): { state: State; reason: string | null } {
  switch (response.kind) {
    case "wrong":
      return { state: "different", reason: response.reason };
    case "refused":
    case "failed":
      return { state: response.kind, reason: response.reason };
    default:
      return { state: "missing", reason: null };
  }
}

function behindBy(expected: PlatformImage, other: PlatformImage, { made }: MirrorView): number | null {
  if (expected.config === null || other.config === null) return null;
  const theirs = made.get(expected.config.digest);
  const ours = made.get(other.config.digest);
  return theirs === undefined || ours === undefined ? null : Math.round((theirs - ours) / 1000);
}
