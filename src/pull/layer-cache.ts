/**
 * Stored public blobs behind Workers Cache: a second entry point of the Worker, in front of which the platform caches. It decides
 * nothing: routing, access and recalls come before it in each request, and its key has no host and no Authorization.
 */
import { type Digest, digestParts, parseDigest } from "../oci/digest.ts";
import { contentKey, type Store } from "../store/store.ts";

/** Bytes of the largest response that the platform caches. */
const LARGEST = 512 * 1000 * 1000;
/** What isn't there must not be kept: without this, a 404 is for three minutes, and anything else for two hours. */
const UNKEPT = { "Cache-Control": "no-store" };
/** A day, so that what was removed from the store leaves the cache too. `stale-if-error` has no end unless one is said. */
const KEPT = { "Cache-Control": "public, max-age=86400, stale-if-error=0" };

/** A name that no client's request can have. */
const ORIGIN = "https://layers.portolan.invalid";

export interface LayerCache {
  /** A public blob, whole; null where it isn't stored, too large to be cached, or the cache fails. */
  get(digest: Digest): Promise<{ body: ReadableStream<Uint8Array>; size: number } | null>;
}

/**
 * The gate's side. Nothing of a client's request goes along: a HEAD would be made a GET, a range fetch the whole, and a header
 * be a part of what others get.
 * @param entry the entry point, with the cache in front of it.
 */
export function layersBehind(entry: Pick<Fetcher, "fetch">): LayerCache {
  return {
    async get(digest) {
      const { algorithm, hex } = digestParts(digest);
      try {
        const response = await entry.fetch(new Request(`${ORIGIN}/${algorithm}/${hex}`));
        const size = Number(response.headers.get("Content-Length") ?? Number.NaN);
        if (response.status === 200 && response.body && Number.isSafeInteger(size)) {
          return { body: response.body, size };
        }
        await response.body?.cancel();
      } catch (error) {
        console.warn(`the layer cache can't be read: ${error}`);
      }
      return null;
    },
  };
}

/** The entry point's side: a stored public blob, to be kept, or a refusal that isn't. */
export async function serveLayer(store: Pick<Store, "get">, { method, url }: Request): Promise<Response> {
  if (method !== "GET") return new Response(null, { status: 405, headers: { ...UNKEPT, Allow: "GET" } });
  const [, algorithm, hex] = new URL(url).pathname.split("/");
  const digest = parseDigest(`${algorithm}:${hex}`);
  const stored = digest && (await store.get(contentKey("blobs", digest, "public")));
  if (!stored || stored.size > LARGEST) {
    await stored?.body.cancel();
    return new Response(null, { status: 404, headers: UNKEPT });
  }
  const headers = {
    ...KEPT,
    "Content-Length": String(stored.size),
    "Content-Type": "application/octet-stream",
  };
  return new Response(stored.body, { headers });
}
