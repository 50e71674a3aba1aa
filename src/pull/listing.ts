/**
 * Listings: requested from upstream every time, since they change; the last one is stored, and served stale while upstream fails.
 */

import * as v from "valibot";
import { REVALIDATE, type ResponseHeaders } from "../oci/content-response.ts";
import { type Digest, digestOf, digestParts } from "../oci/digest.ts";
import { parseJson } from "../oci/json.ts";
import { formatLink, nextTarget } from "../oci/link.ts";
import { type Failure, failureOf, isTransient } from "../registry/failure.ts";
import { deleteAll } from "../store/content.ts";
import { listingKey, listingsOf } from "../store/store.ts";
import { clientError } from "./client-error.ts";
import type { PullRequest } from "./request.ts";
import { commonHeaders, staleStatus, staleWarning } from "./response.ts";
import type { PullServices } from "./services.ts";
import type { Target } from "./target.ts";

/** The parameter of our own links that carries upstream's query, which is upstream's own affair. */
export const CURSOR = "cursor";
/** Bytes of the largest listing that is stored. */
const MAXIMUM_STORED = 4 * 1024 * 1024;
/** Milliseconds after which an unchanged listing is written again, so that its age is never off by more. */
const REWRITE_AFTER = 24 * 3600 * 1000;

/** What listings are read from, and where they are stored. */
export type ListingServices = Pick<PullServices, "config" | "now" | "store" | "unlisted" | "upstream">;

/** One page of a listing, as it is served. */
export interface Listing {
  listing: object;
  /** The query of the next page on this mirror; null after the last. */
  next: URLSearchParams | null;
  responseHeaders?: ResponseHeaders;
}

/** A page as it is stored; `confirmed` is when upstream sent it, in milliseconds since the epoch. */
const StoredPage = v.object({
  listing: v.looseObject({}),
  next: v.nullable(v.string()),
  responseHeaders: v.exactOptional(v.record(v.string(), v.string())),
  confirmed: v.number(),
});
type StoredPage = v.InferOutput<typeof StoredPage>;

/**
 * Serves a page of a listing: upstream's, or the last one of the same request while upstream fails.
 * @param path below the repository.
 * @param read requests the page from upstream, and throws an UpstreamError if that fails.
 * @throws RegistryError
 */
export async function serveListing(
  services: ListingServices,
  pull: PullRequest,
  path: string,
  read: () => Promise<Listing>,
): Promise<Response> {
  const access = pull.access;
  const key = await keyOf(pull, path);
  // A listing for one user's login must not be served while that login can't be checked.
  const mayStore = pull.access.identity.kind !== "user";
  try {
    const page = await read();
    if (mayStore) pull.waitUntil(storeListing(services, key, page));
    services.unlisted.delete(listingsOf(access.upstream, access.repository));
    return respond(pull, path, page, null);
  } catch (error) {
    const failure = failureOf(error);
    const stored = mayStore ? await readStored(services, key) : null;
    const age = stored && services.now() - stored.confirmed;
    if (stored && age !== null && isTransient(failure.kind) && age < services.config.staleMax * 1000) {
      const page = { ...stored, next: stored.next === null ? null : new URLSearchParams(stored.next) };
      return respond(pull, path, page, { failure, age });
    }
    // A listing that is gone or no longer public must not come back at the next outage.
    if (stored && !isTransient(failure.kind)) await services.store.delete([key]);
    throw clientError(failure, "listing", pull.clientInfo);
  }
}

/**
 * Deletes a repository's public listings, because something of it was denied to an anonymous request: it may have become
 * private, and its tags must not be shown any more. A repository is looked for once in a few minutes, however often it is
 * denied.
 */
export async function deleteListings(
  services: Pick<PullServices, "store" | "unlisted">,
  { upstream, repository }: Target,
): Promise<void> {
  const prefix = listingsOf(upstream.name, repository);
  if (services.unlisted.has(prefix)) return;
  services.unlisted.add(prefix);
  await deleteAll(services.store, prefix);
}

/** One request's page is another's only where all that decides on it is the same. */
async function keyOf({ access, search, target }: PullRequest, path: string): Promise<string> {
  const parameters = ["n", "last", "artifactType", CURSOR].map((name) => search.get(name));
  const request = new TextEncoder().encode(JSON.stringify([target.path, path, parameters]));
  return listingKey(
    access.upstream,
    access.repository,
    digestParts(await digestOf(request)).hex,
    access.visibility,
  );
}

/** Stores a page if it has changed, or the stored one is a day old. */
async function storeListing(
  services: Pick<PullServices, "store" | "now">,
  key: string,
  { listing, next, responseHeaders }: Listing,
): Promise<void> {
  try {
    const page = { listing, next: next && String(next), responseHeaders };
    const before = await readStored(services, key);
    const isUnchanged =
      before !== null && JSON.stringify({ ...page, confirmed: before.confirmed }) === JSON.stringify(before);
    if (isUnchanged && services.now() - before.confirmed < REWRITE_AFTER) return;
    const bytes = new TextEncoder().encode(JSON.stringify({ ...page, confirmed: services.now() }));
    if (bytes.byteLength > MAXIMUM_STORED) return;
    const digest: Digest = await digestOf(bytes);
    await services.store.put(key, bytes, { digest, contentType: "application/json" });
  } catch (error) {
    console.warn(`a listing can't be stored: ${error}`);
  }
}

async function readStored(services: Pick<PullServices, "store">, key: string): Promise<StoredPage | null> {
  try {
    const object = await services.store.get(key);
    return object && parseJson(StoredPage, await new Response(object.body).text());
  } catch (error) {
    console.warn(`a stored listing can't be read: ${error}`);
    return null;
  }
}

/** @throws UpstreamError */
export function requestListing(
  services: Pick<PullServices, "upstream">,
  { target, access, waitUntil }: PullRequest,
  upstreamRequest: { path: string; search: URLSearchParams; accept: string },
): Promise<Response> {
  const { upstream, repository } = target;
  const { identity, via } = access;
  return services.upstream.fetch(
    { upstream, repository, identity, via, method: "GET", ...upstreamRequest },
    waitUntil,
  );
}

/** The query of upstream's own `rel="next"`: null where upstream has no more. */
export function nextQuery(response: Response): URLSearchParams | null {
  const target = nextTarget(response.headers.get("Link"));
  const next = target === null ? null : URL.parse(target, "https://upstream.invalid/");
  return next && next.searchParams.size > 0 ? next.searchParams : null;
}

/** A Link to the next page on this mirror, in the shape in which the client asked. */
function nextLink(pull: PullRequest, path: string, next: URLSearchParams): string {
  const query = new URLSearchParams(next);
  if (pull.target.namespace !== null) query.set("ns", pull.target.namespace);
  return formatLink(`${pull.prefix}${pull.target.path}/${path}?${query}`, "next");
}

/** @param stale why the page isn't upstream's of now, and its age in milliseconds; null where it is. */
function respond(
  pull: PullRequest,
  path: string,
  { listing, next, responseHeaders }: Listing,
  stale: { failure: Failure; age: number } | null,
): Response {
  const body = new TextEncoder().encode(JSON.stringify(listing));
  const headers: ResponseHeaders = {
    ...commonHeaders(
      pull,
      stale ? staleStatus(stale.failure) : { servedBy: "upstream", forward: "bypass", forwardStatus: 200 },
    ),
    "Cache-Control": REVALIDATE,
    "Content-Type": "application/json",
    ...responseHeaders,
    "Content-Length": String(body.byteLength),
  };
  if (stale) headers.Warning = staleWarning(stale.failure, "the listing as it was", stale.age);
  if (next) headers.Link = nextLink(pull, path, next);
  return new Response(pull.method === "GET" ? body : null, { headers });
}
