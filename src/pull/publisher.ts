/** What a tag names at its registry right now, whatever is known and stored here. */

import type { Digest } from "../oci/digest.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { ANONYMOUS } from "../upstream/request.ts";
import { accessOf } from "./repository-access.ts";
import { type HeadServices, headManifest } from "./resolve.ts";

/**
 * Sends an anonymous HEAD, which Docker Hub doesn't count as a pull: nothing is learnt that an anonymous client couldn't.
 * @returns null where the registry doesn't say.
 * @throws UpstreamError
 */
export async function publisherDigest(
  services: HeadServices,
  { upstream, repository }: { upstream: string; repository: string },
  tag: string,
  waitUntil: WaitUntil,
): Promise<Digest | null> {
  const access = accessOf({ upstream, repository, via: "" }, ANONYMOUS);
  return (await headManifest(services, access, tag, waitUntil))?.digest ?? null;
}
