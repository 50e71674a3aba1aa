/** Releases: digests that the operator lets through although COOLDOWN takes them for too young. */
import { cooldownFor } from "../cooldown-settings.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { accessOf } from "../pull/repository-access.ts";
import type { Resolver } from "../pull/resolver.ts";
import type { TagName, TagRecords } from "../store/tag-records.ts";
import { ANONYMOUS } from "../upstream/request.ts";
import { parsed, ReleaseRequest } from "./requests.ts";
import { type HistoryServices, imageOf } from "./tags.ts";

export interface ReleaseServices extends HistoryServices {
  resolverOf: (repository: { upstream: string; repository: string }) => Resolver;
  tags: TagRecords;
}

/** A tag, and the digest that was released for it. */
export interface Release extends TagName {
  digest: Digest;
}

/**
 * Lets through what a tag names upstream now, or named when upstream could last be reached.
 * @param request as parsed from JSON: `image`, with its tag.
 * @throws RegistryError 400; 404 for a tag that isn't known; 409 where COOLDOWN doesn't apply.
 */
export async function release(services: ReleaseServices, request: unknown): Promise<Release[]> {
  const { image } = parsed(ReleaseRequest, request, "the body has an image with its tag");
  const { upstream, repository } = imageOf(services, image);
  if (cooldownFor(services.config.cooldown, `${upstream}/${repository}`) === 0) {
    throw new RegistryError(409, "UNSUPPORTED", `COOLDOWN doesn't apply to ${upstream}/${repository}`);
  }
  const names = await namesOf(services, image);
  const releases: Release[] = [];
  for (const name of names) {
    const identity = name.visibility === "public" ? ANONYMOUS : ({ kind: "operator" } as const);
    const access = accessOf({ ...name, via: "" }, identity);
    // Whether upstream is reached or not, the history has its latest digest.
    await services.resolverOf(access).resolve(access, name.tag, "refetch");
    const digest = await services.tagHistory().release(name, services.now());
    if (digest) releases.push({ ...name, digest });
    await services.tags.forget(name);
  }
  if (releases.length > 0) return releases;
  throw new RegistryError(404, "MANIFEST_UNKNOWN", `this mirror has found nothing behind ${image}`);
}

/** Ends all releases of a tag. @throws RegistryError 400; 404 where there are none. */
export async function undoRelease(services: ReleaseServices, image: string): Promise<void> {
  let undone = 0;
  for (const name of await namesOf(services, image)) {
    undone += await services.tagHistory().undoRelease(name);
    await services.tags.forget(name);
  }
  if (undone === 0) throw new RegistryError(404, "MANIFEST_UNKNOWN", "nothing is released for this tag");
}

/** The public and the private tag of a name, whichever is known; the public one where neither is. */
async function namesOf(services: ReleaseServices, image: string): Promise<TagName[]> {
  const { upstream, repository, tag } = imageOf(services, image);
  if (tag === null) throw new RegistryError(400, "NAME_INVALID", "an image is released by its tag");
  const known = await services.tagHistory().tagHistory({ upstream, repository }, tag);
  const visibilities = known.length > 0 ? known.map(({ visibility }) => visibility) : (["public"] as const);
  return visibilities.map((visibility) => ({ upstream, repository, tag, visibility }));
}
