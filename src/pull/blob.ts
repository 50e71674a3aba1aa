/** Blobs that are held, and the way to `cold-blob.ts` for those that aren't. No JavaScript touches a blob's bytes. */
import { blobKey, RangeNotSatisfiable, type Sphere } from "../cache/store.ts";
import { RegistryError } from "../errors.ts";
import type { CacheStatus } from "../oci/cachestatus.ts";
import type { Digest } from "../oci/digest.ts";
import { type ByteRange, contentRange, parseRange, unsatisfiedRange } from "../oci/range.ts";
import type { Target } from "../routing/target.ts";
import { blobHeadings, isUnchanged, type Pull, partial, unsatisfiable, whole } from "./answer.ts";
import { pullColdBlob } from "./cold-blob.ts";
import { readHeld } from "./holdings.ts";
import { fillQueueOf } from "./lease.ts";
import type { Mirror } from "./mirror.ts";
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
  const range = pull.method === "GET" ? requestedRange(pull.headers, digest) : null;
  const stored = await fromStore(mirror, pull, target, digest, range, { servedBy: "store" });
  if (stored) return stored;
  const queue = fillQueueOf(mirror, placeOf(target, pull), digest);
  const turn = pull.method === "HEAD" ? "none" : await (range ? queue.join() : queue.acquire());
  const filled = turn === "stored" && (await fromStore(mirror, pull, target, digest, range, WAITED));
  if (filled) return filled;
  const cold = await pullColdBlob(mirror, pull, target, digest, range, queue, turn);
  if (cold !== "stored") return cold;
  const late = await fromStore(mirror, pull, target, digest, range, WAITED);
  if (late) return late;
  throw new RegistryError(503, "UNAVAILABLE", "the store doesn't give what was just stored");
}

/** For what another request's fill has stored meanwhile. */
const WAITED: CacheStatus = { servedBy: "store", forward: "uri-miss", collapsed: true };

/** The range to honour: none if If-Range names other content than this (RFC 9110 §13.1.5). */
function requestedRange(headers: Headers, digest: Digest): ByteRange | null {
  const condition = headers.get("If-Range");
  return condition === null || condition === `"${digest}"` ? parseRange(headers.get("Range")) : null;
}

async function fromStore(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
  range: ByteRange | null,
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
    const read = (key: string) => mirror.store.get(key, range ?? undefined);
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
