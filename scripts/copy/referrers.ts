/** Keeps account of referrers where a registry doesn't (distribution-spec, "Pushing Manifests with Subject"). */
import * as v from "valibot";
import { type Digest, referrersTag } from "../../src/oci/digest.ts";
import { type Descriptor, type Manifest, readManifest } from "../../src/oci/manifest.ts";
import { OCI_INDEX } from "../../src/oci/mediatypes.ts";
import type { RegistryClient } from "../registry/client.ts";
import { RegistryFailure } from "../registry/failure.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import type { Uploader } from "../registry/upload.ts";
import type { ManifestContent } from "./image-io.ts";

/** Adds a manifest to the index under the tag that lists its subject's referrers. */
export async function addReferrer(
  client: RegistryClient,
  uploader: Uploader,
  remote: RemoteRepository,
  subject: Digest,
  { digest, mediaType, bytes }: ManifestContent,
  manifest: Manifest,
): Promise<void> {
  const tag = referrersTag(subject);
  const listed = await listedUnder(client, remote, tag);
  if (listed.some((each) => each.digest === digest)) return;
  const artifactType = manifest.artifactType ?? manifest.config?.mediaType;
  const referrer: Descriptor = {
    mediaType,
    digest,
    size: bytes.byteLength,
    ...(artifactType && { artifactType }),
    ...annotationsOf(bytes),
  };
  const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [...listed, referrer] };
  const written = new TextEncoder().encode(JSON.stringify(index));
  await uploader.putManifest(remote, tag, { bytes: written, mediaType: OCI_INDEX });
}

async function listedUnder(
  client: RegistryClient,
  remote: RemoteRepository,
  tag: string,
): Promise<Descriptor[]> {
  try {
    const { bytes } = await client.manifest(remote, tag);
    return readManifest(bytes)?.manifests ?? [];
  } catch (error) {
    if (error instanceof RegistryFailure && error.status === 404) return [];
    throw error;
  }
}

/** A manifest's annotations, which its descriptor among the referrers repeats. */
function annotationsOf(bytes: Uint8Array): { annotations?: Record<string, string> } {
  const { annotations } = v.parse(Annotated, JSON.parse(new TextDecoder().decode(bytes)));
  return annotations ? { annotations } : {};
}

const Annotated = v.object({
  annotations: v.fallback(v.optional(v.record(v.string(), v.string())), undefined),
});
