// Digests: the names of content, checked once at the rim so that a `Digest` can be trusted as a key and in a path.

export type DigestAlgorithm = "sha256" | "sha512";
export type Digest = `${DigestAlgorithm}:${string}`;

export const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;
const WEB_CRYPTO_NAMES = { sha256: "SHA-256", sha512: "SHA-512" } as const;

/** The digest of no bytes at all. */
export const EMPTY_DIGEST: Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** The digest of `{}`, the config of artifacts that have none (image-spec, "Guidance for an Empty Descriptor"). */
export const EMPTY_OBJECT_DIGEST: Digest =
  "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/** The content of the two well-known digests; null for all others. */
export function wellKnown(digest: Digest): string | null {
  if (digest === EMPTY_DIGEST) return "";
  return digest === EMPTY_OBJECT_DIGEST ? "{}" : null;
}

/** The most of a digest's hex that the referrers tag schema carries. */
const REFERRERS_TAG_HEX = 64;

/**
 * Reads a digest. Null for anything but a registered algorithm with exactly its number of lower-case hex digits:
 * what can't be verified must not be stored.
 * Source: image-spec, descriptor.md, "Digests" and "Registered algorithms".
 */
export function parseDigest(text: string): Digest | null {
  return isDigest(text) ? text : null;
}

/** A digest's algorithm and its hex digits, without the colon. */
export function digestParts(digest: Digest): { algorithm: DigestAlgorithm; hex: string } {
  const algorithm = digest.startsWith("sha512:") ? "sha512" : "sha256";
  return { algorithm, hex: digest.slice(algorithm.length + 1) };
}

/** The digest of `bytes`, which are in memory: for manifests, never for layers. */
export async function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Promise<Digest> {
  // The DOM's types, unlike the Worker's, ask for memory that isn't shared; none here is.
  const unshared = bytes as Uint8Array<ArrayBuffer>;
  const hash = new Uint8Array(await crypto.subtle.digest(WEB_CRYPTO_NAMES[algorithm], unshared));
  return `${algorithm}:${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * The tag that lists a manifest's referrers where an upstream has no referrers API: `<algorithm>-<hex>`, the hex cut to
 * 64 digits, so that a sha512 digest too fits a tag.
 * Source: distribution-spec, "Referrers Tag Schema".
 */
export function referrersTag(digest: Digest): string {
  const { algorithm, hex } = digestParts(digest);
  return `${algorithm}-${hex.slice(0, REFERRERS_TAG_HEX)}`;
}

function isDigest(text: string): text is Digest {
  return DIGEST.test(text);
}
