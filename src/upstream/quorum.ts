/**
 * Quorum: what a tag names by the agreement of several sources, none of which is trusted alone. Only digests are voted on; the
 * content behind the one that wins is verified like any other.
 */
import { type Digest, digestOf, digestParts, parseDigest } from "../oci/digest.ts";
import { MAXIMUM_MANIFEST, manifestType } from "../oci/manifest.ts";
import { essence, isManifestType } from "../oci/mediatypes.ts";
import { readBounded } from "../registry/bounded-read.ts";
import { mayBeHeadAlone, UpstreamError } from "../registry/failure.ts";
import { OVERTAKEN } from "./hedge.ts";

export interface TagQuorum {
  /** Base URLs, with the path that stands before the repository. Those on one host have one vote. */
  sources: readonly URL[];
  /** How many must agree on a digest, 2 at least. */
  agree: number;
}

export interface Agreement {
  digest: Digest;
  /** How many sources agreed on it, of how many. */
  votes: number;
  sources: number;
}

export interface PollOptions {
  /** Requests the tag's manifest from a source. @throws UpstreamError for what isn't a success. */
  fetch: (source: URL, method: "GET" | "HEAD", signal: AbortSignal) => Promise<Response>;
  /** Milliseconds that each source has to vote. */
  timeOut: number;
}

/** The host that a URL's vote counts for, whatever its port. */
export function voterOf({ hostname }: URL): string {
  return hostname.replace(/\.$/, "");
}

/**
 * Requests a tag from all sources at once, and counts what each says it names.
 * @returns the digest that enough sources agree on and that none of the others can catch up with; null if there is none.
 *   Sources whose vote can't change that any more are not waited for.
 */
export function findAgreement(
  { sources, agree }: TagQuorum,
  { fetch, timeOut }: PollOptions,
): Promise<Agreement | null> {
  // The first of each host: several paths of one host may be one and the same registry.
  const voters = sources.filter(
    (source, index) => sources.findIndex((other) => voterOf(other) === voterOf(source)) === index,
  );
  const end = new AbortController();
  const timer = setTimeout(() => end.abort(), timeOut);
  const votes = new Map<Digest, number>();
  let outstanding = voters.length;
  return new Promise((resolve, reject) => {
    const count = (digest: Digest | null) => {
      outstanding--;
      if (digest) votes.set(digest, (votes.get(digest) ?? 0) + 1);
      const [first, second = 0] = [...votes.values()].sort((a, b) => b - a);
      const most = first ?? 0;
      const winner = [...votes].find(([, number]) => number === most && most >= agree);
      if (winner && most > second + outstanding) {
        resolve({ digest: winner[0], votes: most, sources: voters.length });
      } else if (most + outstanding < agree || outstanding === 0) {
        resolve(null);
      } else {
        return;
      }
      clearTimeout(timer);
      end.abort(OVERTAKEN);
    };
    for (const source of voters) {
      voteOf((method) => fetch(source, method, end.signal)).then(count, reject);
    }
  });
}

/** The digest that a source's HEAD names, else that of the manifest that its GET brings; null for anything else. */
async function voteOf(fetch: (method: "GET" | "HEAD") => Promise<Response>): Promise<Digest | null> {
  try {
    return (await namedDigest(fetch)) ?? (await sentDigest(await fetch("GET")));
  } catch (error) {
    if (error instanceof UpstreamError) return null;
    throw error;
  }
}

async function namedDigest(fetch: (method: "HEAD") => Promise<Response>): Promise<Digest | null> {
  try {
    const { status, headers } = await fetch("HEAD");
    if (status !== 200 || !isManifestType(essence(headers.get("Content-Type")))) return null;
    return parseDigest(headers.get("Docker-Content-Digest") ?? "");
  } catch (error) {
    if (mayBeHeadAlone(error)) return null;
    throw error;
  }
}

/** @throws UpstreamError if the body breaks off or is too large for a manifest. */
async function sentDigest(response: Response): Promise<Digest | null> {
  if (response.status !== 200) {
    await response.body?.cancel();
    return null;
  }
  const named = parseDigest(response.headers.get("Docker-Content-Digest") ?? "");
  const bytes = await readBounded(response, MAXIMUM_MANIFEST, "a tag's manifest");
  if (manifestType(bytes) === null) return null;
  const digest = await digestOf(bytes, named ? digestParts(named).algorithm : "sha256");
  return named === null || named === digest ? digest : null;
}
