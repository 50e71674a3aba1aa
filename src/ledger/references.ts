/** What a stored manifest refers to. It never changes, since a digest names the manifest, and so it is read once only. */
import { type Digest, wellKnown } from "../oci/digest.ts";
import { isForeign, readManifest } from "../oci/manifest.ts";
import { contentKey, type Store, type Visibility } from "../store/store.ts";

export interface ManifestReferences {
  digest: Digest;
  /** What an index lists. */
  manifests: Digest[];
  /** Config and layers that a mirror stores: none whose content is in the manifest, or that clients get elsewhere. */
  blobs: Digest[];
}

/** A stored manifest. */
export interface ManifestName {
  digest: Digest;
  visibility: Visibility;
}

/** @returns no references for what is no manifest. */
function referencesIn(digest: Digest, bytes: Uint8Array): ManifestReferences {
  const manifest = readManifest(bytes);
  if (!manifest) return { digest, manifests: [], blobs: [] };
  const blobs = [...(manifest.config ? [manifest.config] : []), ...manifest.layers].filter(
    (blob) => !isForeign(blob) && blob.data === undefined && wellKnown(blob.digest) === null,
  );
  return {
    digest,
    manifests: [...new Set(manifest.manifests.map((child) => child.digest))],
    blobs: [...new Set(blobs.map((blob) => blob.digest))],
  };
}

/** Reads manifests from the store. Those that are gone, or can't be read, are left out. */
export async function readReferences(
  store: Pick<Store, "get">,
  names: readonly ManifestName[],
): Promise<ManifestReferences[]> {
  const read: ManifestReferences[] = [];
  for (const { digest, visibility } of names) {
    try {
      const object = await store.get(contentKey("manifests", digest, visibility));
      if (object)
        read.push(referencesIn(digest, new Uint8Array(await new Response(object.body).arrayBuffer())));
    } catch (error) {
      console.warn(`the manifest ${digest} can't be read: ${error}`);
    }
  }
  return read;
}
