/** Blobs that are held, and the way to `cold-blob.ts` for those that aren't. No JavaScript touches a blob's bytes. */
import { blobKey, RangeNotSatisfiable, type Sphere } from "../cache/store.ts";
import { RegistryError } from "../errors.ts";
import type { CacheStatus } from "../oci/cachestatus.ts";
import type { Digest } from "../oci/digest.ts";
import {
  type ByteRange,
  bytesOf,
  contentRange,
  parseRanges,
  resolveRanges,
  unsatisfiedRange,
} from "../oci/range.ts";
import type { Target } from "../routing/target.ts";
import { blobHeadings, isUnchanged, type Pull, partial, unsatisfiable, whole } from "./answer.ts";
import { pullColdBlob } from "./cold-blob.ts";
import { readHeld } from "./holdings.ts";
import { fillQueueOf } from "./lease.ts";
import type { Mirror } from "./mirror.ts";
import { multipart } from "./multipart.ts";
import { placeOf } from "./place.ts";

/**
 * Answers a blob, or the range of it that was asked for.
 * @throws RegistryError for what upstream doesn't have or can't give.
 */
export async function pullBlob(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
): Promise<Response> {
  const ranges = pull.method === "GET" ? requestedRanges(pull.headers, digest) : [];
  const stored = await fromStore(mirror, pull, target, digest, ranges, { servedBy: "store" });
  if (stored) return stored;
  // Upstream is asked for the whole instead of several: it is stored on its way, and the next ones are had from there.
  const range = ranges.length === 1 ? (ranges[0] ?? null) : null;
  const queue = fillQueueOf(mirror, placeOf(target, pull), digest);
  const turn =
    pull.method === "HEAD" ? "none" : await (range ? queue.joinRange(bytesOf(range)) : queue.acquire());
  const filled = turn === "stored" && (await fromStore(mirror, pull, target, digest, ranges, WAITED));
  if (filled) return filled;
  const cold = await pullColdBlob(mirror, pull, target, digest, range, queue, turn);
  if (cold !== "stored") return cold;
  const late = await fromStore(mirror, pull, target, digest, ranges, WAITED);
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
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
  ranges: readonly ByteRange[],
  status: CacheStatus,
): Promise<Response | null> {
  const place = placeOf(target, pull);
  const keyOf = (sphere: Sphere) => blobKey(digest, sphere);
  const headings = blobHeadings(target, digest, status);
  try {
    const isKnown = isUnchanged(pull.headers, digest);
    if (pull.method === "HEAD" || isKnown) {
      const held = await readHeld(mirror, place, { digest }, keyOf, (key) => mirror.store.head(key));
      if (!held) return null;
      return isKnown
        ? new Response(null, { status: 304, headers: headings })
        : whole(null, headings, held.size);
    }
    const [range, ...more] = ranges;
    if (more.length > 0) return await severalFromStore(mirror, pull, target, digest, ranges, status);
    const read = (key: string) => mirror.store.get(key, range);
    const held = await readHeld(mirror, place, { digest }, keyOf, read);
    if (!held) return null;
    if (!held.range) return whole(held.body, headings, held.size);
    const { offset, length } = held.range;
    return partial(held.body, headings, contentRange(offset, length, held.size), length);
  } catch (error) {
    if (error instanceof RangeNotSatisfiable) return unsatisfiable(headings, unsatisfiedRange(error.size));
    // A store that fails is as good as an empty one while upstream answers.
    console.warn(`the store can't be read: ${error}`);
    return null;
  }
}

async function severalFromStore(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
  ranges: readonly ByteRange[],
  status: CacheStatus,
): Promise<Response | null> {
  const keyOf = (sphere: Sphere) => blobKey(digest, sphere);
  const held = await readHeld(mirror, placeOf(target, pull), { digest }, keyOf, async (key) => {
    const head = await mirror.store.head(key);
    return head && { key, size: head.size };
  });
  if (!held) return null;
  const { key, size } = held;
  const slices = resolveRanges(ranges, size);
  if (slices === null) return fromStore(mirror, pull, target, digest, [], status);
  if (slices.length === 0) throw new RangeNotSatisfiable(size);
  const [first, ...more] = slices;
  if (first && more.length === 0) {
    const only = { first: first.offset, last: first.offset + first.length - 1 };
    return fromStore(mirror, pull, target, digest, [only], status);
  }
  const headings = blobHeadings(target, digest, status);
  return multipart(pull, headings, slices, size, (range) => mirror.store.get(key, range));
}
