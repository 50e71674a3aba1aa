/** Lists of hosted repositories' tags and referrers, and of the repositories themselves. */

import { REVALIDATE } from "../oci/content-response.ts";
import { type Digest, parseDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { formatLink } from "../oci/link.ts";
import { OCI_INDEX } from "../oci/mediatypes.ts";
import type { HostedRecords, Page, ReferrerPlace } from "./records.ts";
import type { HostedRequest } from "./request.ts";
import type { PushServices } from "./services.ts";

/** Names on a page, where the client doesn't say how many, and at most. */
const PAGE = 1000;

/** @throws RegistryError */
export async function listTags({ hostedRecords }: PushServices, request: HostedRequest): Promise<Response> {
  const { target, search, prefix, method } = request;
  const page = pageIn(search);
  const found = await hostedRecords.listTags(target.repository, page);
  if (!found) throw new RegistryError(404, "NAME_UNKNOWN", "there is no such repository here");
  const headers = nextPage(`${prefix}${target.path}/tags/list`, page, found);
  // The name by which the client knows the repository.
  const name = target.path.replace(/^.*?\/v2\//, "");
  return listing(method, { name, tags: found.names }, headers);
}

/** @param path `/v2/_catalog`, or what this client's paths have before it. */
export async function listRepositories(
  hostedRecords: Pick<HostedRecords, "listRepositories">,
  { method, search, path, nameOf, mayRead }: CatalogRequest,
): Promise<Response> {
  const page = pageIn(search);
  const found = await hostedRecords.listRepositories(page);
  const headers = nextPage(path, page, found);
  return listing(method, { repositories: found.names.filter(mayRead).map(nameOf) }, headers);
}

export interface CatalogRequest {
  method: string;
  search: URLSearchParams;
  path: string;
  /** The name by which the client knows a repository. */
  nameOf: (repository: string) => string;
  /** Repositories that the client may not read are left out, so that a page may be shorter than requested. */
  mayRead: (repository: string) => boolean;
}

/** An index of what refers to a manifest, empty if nothing does. @throws RegistryError */
export async function listReferrers(
  { hostedRecords }: PushServices,
  { target, search, method, prefix }: HostedRequest,
  digest: Digest,
): Promise<Response> {
  const artifactType = search.get("artifactType");
  const page = { artifactType, after: placeIn(search) };
  const { referrers, last } = await hostedRecords.listReferrers(target.repository, digest, page);
  const headers: Record<string, string> = { "Content-Type": OCI_INDEX };
  if (artifactType !== null) headers["OCI-Filters-Applied"] = "artifactType";
  if (last !== null) {
    const query = new URLSearchParams({
      ...(artifactType !== null && { artifactType }),
      last: `${last.pushed}-${last.digest}`,
    });
    headers.Link = formatLink(`${prefix}${target.path}/referrers/${digest}?${query}`, "next");
  }
  return listing(method, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: referrers }, headers);
}

/** @throws RegistryError 400 for a `last` that isn't from a Link of this mirror. */
function placeIn(search: URLSearchParams): ReferrerPlace | null {
  const last = search.get("last");
  if (last === null) return null;
  const [, pushed, name = ""] = /^(\d{1,15})-(.*)$/s.exec(last) ?? [];
  const digest = parseDigest(name);
  if (digest) return { pushed: Number(pushed), digest };
  throw new RegistryError(400, "UNSUPPORTED", "last must be as the Link of the page before has it");
}

/** @throws RegistryError 400 for an `n` that is no number. */
function pageIn(search: URLSearchParams): Page {
  const n = search.get("n");
  if (n !== null && !/^\d+$/.test(n)) throw new RegistryError(400, "UNSUPPORTED", "n must be a whole number");
  return { last: search.get("last"), limit: Math.min(Number(n ?? PAGE), PAGE) };
}

/** A Link to the next page, where there is one. */
function nextPage(path: string, page: Page, { names, hasMore }: { names: string[]; hasMore: boolean }) {
  const last = names.at(-1);
  if (!hasMore || last === undefined) return {};
  return { Link: formatLink(`${path}?${new URLSearchParams({ n: String(page.limit), last })}`, "next") };
}

function listing(method: string, body: object, headers: Record<string, string>): Response {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  return new Response(method === "HEAD" ? null : bytes, {
    headers: {
      "Content-Type": "application/json",
      "Cache-Control": REVALIDATE,
      ...headers,
      "Content-Length": String(bytes.byteLength),
    },
  });
}
