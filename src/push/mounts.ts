/** Mounts: a blob that is stored already becomes one of the repository, without its bytes (distribution-spec, "Mounting a blob"). */
import type { Digest } from "../oci/digest.ts";
import { isRepository } from "../oci/names.ts";
import { hostedKey } from "../store/store.ts";
import { linkBlob } from "./link.ts";
import type { HostedRequest } from "./request.ts";
import type { PushServices } from "./services.ts";

/**
 * Gives the repository a blob that the client may read: of the hosted or mirrored repository that `from` names, else of any
 * hosted one. A blob of a repository that it may not read is treated as unknown, so that nothing is revealed about it.
 * @returns false where there is none, so that the client has to upload it.
 * @throws RegistryError 403 if that exceeds the quota.
 */
export async function mountBlob(
  services: PushServices,
  request: HostedRequest,
  digest: Digest,
): Promise<boolean> {
  const { search, target, host } = request;
  const from = search.get("from");
  // crane adds the registry that `from` is in. A repository of the same name here has nothing to do with another one's.
  const isHere = (search.get("origin") ?? host) === host;
  if (from !== null && !(isHere && isRepository(from))) return false;
  const size =
    (await hostedSource(services, request, from, digest)) ??
    (from === null ? null : await copyMirrored(services, request, from, digest));
  if (size === null) return false;
  await linkBlob(services, target.repository, { digest, size });
  return true;
}

/** @returns bytes of a blob that a hosted repository has; null for none that the client may read. */
async function hostedSource(
  { hostedRecords, config }: PushServices,
  { target, mayRead }: HostedRequest,
  from: string | null,
  digest: Digest,
): Promise<number | null> {
  const prefix = `${config.hosted.path}/`;
  const sources =
    from === null
      ? await hostedRecords.repositoriesWith(digest)
      : [from.startsWith(prefix) ? from.slice(prefix.length) : from];
  const source = sources.find((each) => each === target.repository || mayRead(each));
  return source === undefined ? null : hostedRecords.findBlob(source, digest);
}

/**
 * Copies a blob of a mirrored repository within the store: the cached one may be evicted, the hosted one must not.
 * @returns its bytes; null for none that is stored and that the client may read.
 */
async function copyMirrored(
  { hostedRecords, store }: PushServices,
  { findMirrored }: HostedRequest,
  from: string,
  digest: Digest,
): Promise<number | null> {
  try {
    const source = await findMirrored(from, digest);
    if (!source) return null;
    await hostedRecords.reserve("blobs", digest);
    return (await store.copy(source.key, hostedKey("blobs", digest), digest)) ? source.size : null;
  } catch (error) {
    // The client uploads it then.
    console.warn(`${digest} can't be mounted from ${from}: ${error}`);
    return null;
  }
}
