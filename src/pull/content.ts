/** Manifests as content: looked up in memory and the store, and accepted from upstream once their digest is verified. */

import { type Digest, digestOf, digestParts, parseDigest } from "../oci/digest.ts";
import { MAXIMUM_MANIFEST, manifestType } from "../oci/manifest.ts";
import { essence, isSchema1Type } from "../oci/mediatypes.ts";
import { readBounded } from "../registry/bounded-read.ts";
import { UpstreamError } from "../registry/failure.ts";
import { getContent, putContent } from "../store/content.ts";
import { contentKey } from "../store/store.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import type { StoredManifest } from "./resolver.ts";
import type { PullServices } from "./services.ts";

type ManifestServices = Pick<PullServices, "manifests" | "store">;

/** Looks a manifest up in memory, then in the store. */
export async function findManifest(
  services: ManifestServices,
  access: RepositoryAccess,
  digest: Digest,
): Promise<{ manifest: StoredManifest; from: "memory" | "store" } | null> {
  const remembered = services.manifests.get(digest);
  if (remembered) return { manifest: remembered, from: "memory" };
  const manifest = await readStored(services, access, digest);
  if (!manifest) return null;
  remember(services, access, manifest);
  return { manifest, from: "store" };
}

/** A store that can't be read is as good as an empty one while upstream answers. */
async function readStored(
  services: Pick<PullServices, "store">,
  access: RepositoryAccess,
  digest: Digest,
): Promise<StoredManifest | null> {
  try {
    const object = await getContent(services.store, { kind: "manifests", digest, scope: access });
    if (!object) return null;
    const bytes = new Uint8Array(await new Response(object.body).arrayBuffer());
    return { digest, mediaType: typeOf(bytes), bytes };
  } catch (error) {
    console.warn(`a manifest can't be read from the store: ${error}`);
    return null;
  }
}

/** The media type of a manifest; nothing a browser would run where it is none, whatever upstream called it. */
function typeOf(bytes: Uint8Array): string {
  return manifestType(bytes) ?? "application/octet-stream";
}

/** Keeps a verified manifest in memory if it is public: access isn't checked for what is there. */
export function remember(
  services: Pick<PullServices, "manifests">,
  access: RepositoryAccess,
  manifest: StoredManifest,
): void {
  if (access.visibility === "public") services.manifests.set(manifest.digest, manifest);
}

/** Stores a verified manifest. A store that fails costs a fetch next time and nothing now. */
export async function storeManifest(
  services: Pick<PullServices, "store">,
  access: RepositoryAccess,
  { digest, mediaType, bytes }: StoredManifest,
): Promise<void> {
  try {
    const name = { kind: "manifests", digest, scope: access } as const;
    await putContent(services.store, name, bytes, { contentType: mediaType });
  } catch (error) {
    console.warn(`a manifest can't be stored: ${error}`);
  }
}

/** Stores a public manifest again that the store has lost. */
export async function storeAgain(
  services: Pick<PullServices, "store">,
  access: RepositoryAccess,
  manifest: StoredManifest,
): Promise<void> {
  const isStored = await services.store
    .head(contentKey("manifests", manifest.digest, "public"))
    .catch(() => null);
  if (!isStored) await storeManifest(services, access, manifest);
}

/** Says that a manifest isn't what its digest says. */
export class WrongContent extends UpstreamError {}

/**
 * Reads a manifest from upstream's answer and makes sure of it: its digest is the one requested. For a tag it is the
 * body's own, for many registries declare a wrong one; only the algorithm is theirs to choose.
 * @param expected the digest requested; null for a tag.
 * @throws UpstreamError `unavailable` if it isn't what it should be; nothing of it may be kept then.
 */
export async function acceptManifest(
  response: Response,
  expected: Digest | null,
  what: string,
): Promise<StoredManifest> {
  if (expected === null && isSchema1Type(essence(response.headers.get("Content-Type")))) {
    await response.body?.cancel();
    throw new UpstreamError(
      "missing",
      `${what} is an image of the withdrawn schema 1, which can't be mirrored`,
      404,
    );
  }
  const bytes = await readBounded(response, MAXIMUM_MANIFEST, what);
  const declared = parseDigest(response.headers.get("Docker-Content-Digest") ?? "");
  const named = expected ?? declared;
  const digest = await digestOf(bytes, named ? digestParts(named).algorithm : "sha256");
  if (expected !== null && digest !== expected) {
    throw new WrongContent("unavailable", `upstream sent wrong content for ${what}`);
  }
  if (expected === null && manifestType(bytes) === null) {
    throw new UpstreamError("unavailable", `upstream sent no manifest for ${what}`);
  }
  return { digest, mediaType: typeOf(bytes), bytes };
}
