/** Blobs that are stored, and the way to `cold-blob.ts` for those that aren't. No JavaScript touches a blob's bytes. */

import type { CacheStatus } from "../oci/cachestatus.ts";
import { isUnchanged, partial, unsatisfiable, whole } from "../oci/content-response.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import {
  type ByteRange,
  bytesOf,
  contentRange,
  parseRanges,
  resolveRanges,
  unsatisfiedRange,
} from "../oci/range.ts";
import { type ContentName, findContent, getContent, headContent } from "../store/content.ts";
import { RangeNotSatisfiable } from "../store/store.ts";
import { pullColdBlob } from "./cold-blob.ts";
import { fillQueueOf } from "./lease.ts";
import { multipart } from "./multipart.ts";
import type { PullRequest } from "./request.ts";
import { blobHeaders } from "./response.ts";
import type { PullServices } from "./services.ts";

/**
 * Answers a blob, or the range of it that was requested.
 * @throws RegistryError for what upstream doesn't have or can't give.
 */
export async function pullBlob(services: PullServices, pull: PullRequest, digest: Digest): Promise<Response> {
  const ranges = pull.method === "GET" ? requestedRanges(pull.headers, digest) : [];
  const stored = await fromStore(services, pull, digest, ranges, { servedBy: "store" });
  if (stored) return stored;
  // Upstream is requested the whole instead of several: it is stored on its way, and the next ones are had from there.
  const range = ranges.length === 1 ? (ranges[0] ?? null) : null;
  const queue = fillQueueOf(services, pull.access, digest);
  const turn =
    pull.method === "HEAD" ? "none" : await (range ? queue.joinRange(bytesOf(range)) : queue.acquire());
  const filled = turn === "stored" && (await fromStore(services, pull, digest, ranges, WAITED));
  if (filled) return filled;
  const cold = await pullColdBlob(services, pull, digest, range, queue, turn);
  if (cold !== "stored") return cold;
  const late = await fromStore(services, pull, digest, ranges, WAITED);
  if (late) return late;
  throw new RegistryError(503, "UNAVAILABLE", "the store doesn't give what was just stored");
}

/** For what another request's fill has stored meanwhile. */
const WAITED: CacheStatus = { servedBy: "store", forward: "uri-miss", collapsed: true };

/** The ranges to honour: none if If-Range names other content than this (RFC 9110 §13.1.5). */
function requestedRanges(headers: Headers, digest: Digest): readonly ByteRange[] {
  const condition = headers.get("If-Range");
  return condition === null || condition === `"${digest}"` ? parseRanges(headers.get("Range")) : [];
}

async function fromStore(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
  ranges: readonly ByteRange[],
  status: CacheStatus,
): Promise<Response | null> {
  const name = nameOf(pull, digest);
  const responseHeaders = blobHeaders(pull, digest, status);
  try {
    const isKnown = isUnchanged(pull.headers, digest);
    if (pull.method === "HEAD" || isKnown) {
      const stored = await headContent(services.store, name);
      if (!stored) return null;
      return isKnown
        ? new Response(null, { status: 304, headers: responseHeaders })
        : whole(null, responseHeaders, stored.size);
    }
    const [range, ...more] = ranges;
    if (more.length > 0) return await severalFromStore(services, pull, digest, ranges, status);
    const cached = range || pull.access.visibility === "private" ? null : await pull.layers?.get(digest);
    if (cached) return whole(cached.body, responseHeaders, cached.size);
    const stored = await getContent(services.store, name, range);
    if (!stored) return null;
    if (!stored.range) return whole(stored.body, responseHeaders, stored.size);
    const { offset, length } = stored.range;
    return partial(stored.body, responseHeaders, contentRange(offset, length, stored.size), length);
  } catch (error) {
    if (error instanceof RangeNotSatisfiable)
      return unsatisfiable(responseHeaders, unsatisfiedRange(error.size));
    // A store that fails is as good as an empty one while upstream answers.
    console.warn(`the store can't be read: ${error}`);
    return null;
  }
}

async function severalFromStore(
  services: PullServices,
  pull: PullRequest,
  digest: Digest,
  ranges: readonly ByteRange[],
  status: CacheStatus,
): Promise<Response | null> {
  const stored = await findContent(services.store, nameOf(pull, digest), async (key) => {
    const head = await services.store.head(key);
    return head && { key, size: head.size };
  });
  if (!stored) return null;
  const { key, size } = stored;
  const slices = resolveRanges(ranges, size);
  if (slices === null) return fromStore(services, pull, digest, [], status);
  if (slices.length === 0) throw new RangeNotSatisfiable(size);
  const [first, ...more] = slices;
  if (first && more.length === 0) {
    const only = { first: first.offset, last: first.offset + first.length - 1 };
    return fromStore(services, pull, digest, [only], status);
  }
  const responseHeaders = blobHeaders(pull, digest, status);
  return multipart(pull, responseHeaders, slices, size, (range) => services.store.get(key, range));
}

function nameOf({ access }: PullRequest, digest: Digest): ContentName {
  return { kind: "blobs", digest, scope: access };
}
