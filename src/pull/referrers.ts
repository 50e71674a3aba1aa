/** What refers to a manifest: signatures, SBOMs and the like. */
import { type Digest, digestOf, digestParts, referrersTag } from "../oci/digest.ts";
import { MAXIMUM_MANIFEST, readIndexEntries } from "../oci/manifest.ts";
import { MANIFEST_ACCEPT, OCI_INDEX } from "../oci/mediatypes.ts";
import { readBounded } from "../registry/bounded-read.ts";
import { UpstreamError } from "../registry/failure.ts";
import { CURSOR, type ListingServices, nextQuery, requestListing, serveListing } from "./listing.ts";
import type { PullRequest } from "./request.ts";
import type { PullServices } from "./services.ts";

/** A page of what refers to a manifest, and the query of the next one. */
interface Page {
  entries: unknown[];
  next: URLSearchParams | null;
}

/**
 * Answers what refers to a manifest: an index, empty if nothing does (distribution spec, "Listing Referrers"). Where
 * upstream has no referrers API, the tag that stands in for it is read.
 * @throws RegistryError
 */
export async function pullReferrers(
  services: ListingServices,
  pull: PullRequest,
  digest: Digest,
): Promise<Response> {
  const artifactType = pull.search.get("artifactType");
  const search = new URLSearchParams(pull.search.get(CURSOR) ?? "");
  if (artifactType !== null) search.set("artifactType", artifactType);
  return serveListing(services, pull, `referrers/${digest}`, async () => {
    const page = (await fromApi(services, pull, digest, search)) ?? (await fromTag(services, pull, digest));
    const manifests = page.entries.filter(
      (entry) => artifactType === null || (entry as { artifactType?: unknown }).artifactType === artifactType,
    );
    const next = page.next && new URLSearchParams({ [CURSOR]: String(page.next) });
    if (next && artifactType !== null) next.set("artifactType", artifactType);
    const listing = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
    const filtered: Record<string, string> =
      artifactType === null ? {} : { "OCI-Filters-Applied": "artifactType" };
    return { listing, next, responseHeaders: { "Content-Type": OCI_INDEX, ...filtered } };
  });
}

/** A page of upstream's own; null if it has no such API, which any response says that isn't an index. */
async function fromApi(
  services: Pick<PullServices, "upstream">,
  pull: PullRequest,
  digest: Digest,
  search: URLSearchParams,
): Promise<Page | null> {
  try {
    const upstreamRequest = { path: `referrers/${digest}`, search, accept: OCI_INDEX };
    const response = await requestListing(services, pull, upstreamRequest);
    const entries = readIndexEntries(await readBounded(response, MAXIMUM_MANIFEST, "a list of referrers"));
    return entries && { entries, next: nextQuery(response) };
  } catch (error) {
    if (isWithoutApi(error)) return null;
    throw error;
  }
}

function isWithoutApi(error: unknown): boolean {
  if (!(error instanceof UpstreamError)) return false;
  const { kind, status } = error.failure;
  return kind !== "limited" && ((status >= 400 && status < 500) || status === 501);
}

/** What lies under the tag that stands in for the API; some registries have the manifest itself there. */
async function fromTag(
  services: Pick<PullServices, "upstream">,
  pull: PullRequest,
  digest: Digest,
): Promise<Page> {
  const none: Page = { entries: [], next: null };
  try {
    const search = new URLSearchParams();
    const upstreamRequest = { path: `manifests/${referrersTag(digest)}`, search, accept: MANIFEST_ACCEPT };
    const response = await requestListing(services, pull, upstreamRequest);
    const bytes = await readBounded(response, MAXIMUM_MANIFEST, "a list of referrers");
    const isSubject = (await digestOf(bytes, digestParts(digest).algorithm)) === digest;
    return isSubject ? none : { entries: readIndexEntries(bytes) ?? [], next: null };
  } catch (error) {
    if (error instanceof UpstreamError && error.failure.kind === "missing") return none;
    throw error;
  }
}
