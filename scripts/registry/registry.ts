/** What a registry can be asked: manifests, blobs, tags and referrers, each proved as far as it can be. */
import { createHash } from "node:crypto";
import { type Digest, digestParts, parseDigest, referrersTag } from "../../src/oci/digest.ts";
import { parseLinks } from "../../src/oci/link.ts";
import { type Descriptor, manifestType, readManifest } from "../../src/oci/manifest.ts";
import { essence, MANIFEST_ACCEPT, OCI_INDEX } from "../../src/oci/mediatypes.ts";
import { isRepository, isTag } from "../../src/oci/names.ts";
import { readBounded } from "../../src/upstream/bounded.ts";
import type { Answer } from "./answer.ts";
import { Exchange, type ExchangeOptions } from "./exchange.ts";
import { failureOfError, RegistryFailure } from "./failure.ts";
import { type Place, urlAt } from "./place.ts";

export { RegistryFailure } from "./failure.ts";
export { mirrorPlace, type Place, placeOf, writable } from "./place.ts";

export interface FetchedManifest {
  digest: Digest;
  mediaType: string;
  bytes: Uint8Array<ArrayBuffer>;
  headers: Headers;
}

export interface Heading {
  /** As the registry says; null where it doesn't. */
  digest: Digest | null;
  mediaType: string;
  /** In bytes. */
  size: number | null;
  headers: Headers;
}

/** Bytes of the largest manifest or listing that is read, as at the mirror. */
const MAXIMUM_DOCUMENT = 8 * 1024 * 1024;
/** Tags asked for at a time. */
const PAGE = "1000";

/** All methods throw a RegistryFailure for whatever they don't return. */
export class RegistryClient {
  readonly exchange: Exchange;

  constructor(options: ExchangeOptions) {
    this.exchange = new Exchange(options);
  }

  /**
   * Fetches a manifest and proves it: by the digest it was asked for by, or by the one that the registry declares.
   * @param reference a tag or a digest.
   */
  async manifest(place: Place, reference: string): Promise<FetchedManifest> {
    const what = `manifests/${reference}`;
    const response = await this.#get(place, what, MANIFEST_ACCEPT);
    const bytes = await readDocument(response, place, what);
    const asked = parseDigest(reference);
    const expected = asked ?? parseDigest(response.headers.get("Docker-Content-Digest") ?? "");
    const digest = digestOfBytes(bytes, expected ? digestParts(expected).algorithm : "sha256");
    if (expected !== null && digest !== expected) {
      const why = `${place.repository} ${what} is ${digest}, though it should be ${expected}`;
      throw unusable(place, why, "DIGEST_INVALID");
    }
    const manifest = readManifest(bytes);
    if (!manifest) {
      const type = essence(response.headers.get("Content-Type"));
      const why = `${place.repository} ${what} is no manifest that is known here (${type})`;
      throw unusable(place, why, "MANIFEST_INVALID");
    }
    const mediaType = manifestType(manifest, response.headers.get("Content-Type"));
    return { digest, mediaType, bytes, headers: response.headers };
  }

  /** @returns null for what the registry doesn't have. */
  async head(place: Place, reference: string): Promise<Heading | null> {
    const at = `manifests/${reference}`;
    const response = await this.exchange.send(place, {
      method: "HEAD",
      at,
      headers: { Accept: MANIFEST_ACCEPT },
    });
    await response.body?.cancel();
    if (response.status === 404) return null;
    if (response.status !== 200) throw await this.exchange.failure(place, response, at);
    const { headers } = response;
    return {
      digest: parseDigest(headers.get("Docker-Content-Digest") ?? ""),
      mediaType: essence(headers.get("Content-Type")),
      size: lengthOf(headers),
      headers,
    };
  }

  /**
   * @param options.range as in the header: `bytes=0-1023`.
   * @returns the answer, 200 or 206, its body unread and unproved.
   */
  async blob(
    place: Place,
    digest: Digest,
    { range, signal }: { range?: string; signal?: AbortSignal } = {},
  ): Promise<Answer> {
    const at = `blobs/${digest}`;
    const response = await this.exchange.send(place, {
      method: "GET",
      at,
      ...(range && { headers: { Range: range } }),
      ...(signal && { signal }),
    });
    if (response.status !== 200 && response.status !== 206) {
      throw await this.exchange.failure(place, response, at);
    }
    return response;
  }

  /** @returns the blob's size in bytes, or null where it isn't there. */
  async hasBlob(place: Place, digest: Digest): Promise<number | null> {
    const heading = await this.headBlob(place, digest);
    return heading && (heading.size ?? 0);
  }

  /** @returns null for a blob that the registry doesn't have. */
  async headBlob(place: Place, digest: Digest): Promise<Omit<Heading, "digest" | "mediaType"> | null> {
    const at = `blobs/${digest}`;
    const response = await this.exchange.send(place, { method: "HEAD", at });
    await response.body?.cancel();
    if (response.status === 404) return null;
    if (response.status !== 200) throw await this.exchange.failure(place, response, at);
    return { size: lengthOf(response.headers), headers: response.headers };
  }

  /** Lists a repository's tags, page by page as they are read. */
  async *tags(place: Place): AsyncIterable<string> {
    for await (const page of this.#pages(place, "tags/list", { n: PAGE })) {
      const { tags } = page;
      if (Array.isArray(tags)) yield* tags.filter((tag) => typeof tag === "string" && isTag(tag));
    }
  }

  /** Lists the repositories of the registry that a place is at, which few registries allow (Docker's "Catalog"). */
  async *repositories(place: Place): AsyncIterable<string> {
    const catalog = { ...place, repository: "_catalog", scopes: ["registry:catalog:*"] };
    const at = new URL("_catalog", urlAt(place, ""));
    for await (const { repositories } of this.#pages(catalog, at, { n: PAGE })) {
      if (Array.isArray(repositories)) {
        yield* repositories.filter((name) => typeof name === "string" && isRepository(name));
      }
    }
  }

  /**
   * What refers to a manifest: by the referrers API, or by the tag that stands in for it.
   * @param artifactType only those of this type.
   */
  async referrers(place: Place, digest: Digest, artifactType?: string): Promise<Descriptor[]> {
    const found: Descriptor[] = [];
    const search: Record<string, string> = artifactType === undefined ? {} : { artifactType };
    for (const [at, query] of [
      [`referrers/${digest}`, search],
      [`manifests/${referrersTag(digest)}`, {}],
    ] as const) {
      try {
        for await (const page of this.#pages(place, at, query)) {
          found.push(...(readManifest(Buffer.from(JSON.stringify(page)))?.manifests ?? []));
        }
        return found.filter((each) => artifactType === undefined || each.artifactType === artifactType);
      } catch (error) {
        // Registries without the API say so in different ways.
        if (!(error instanceof RegistryFailure) || ![400, 404, 405].includes(error.status)) throw error;
      }
    }
    return [];
  }

  /** Whether the registry answers at all, and lets the login in if there is one. */
  async ping(place: Place): Promise<void> {
    const response = await this.exchange.send(place, { method: "GET", at: "", scopes: [] });
    if (response.status !== 200) throw await this.exchange.failure(place, response, "/v2/");
    await response.body?.cancel();
  }

  async #get(
    place: Place,
    at: string | URL,
    accept: string,
    search?: Record<string, string>,
  ): Promise<Answer> {
    const headers = { Accept: accept };
    const response = await this.exchange.send(place, {
      method: "GET",
      at,
      headers,
      ...(search && { search }),
    });
    if (response.status === 200) return response;
    throw await this.exchange.failure(place, response, typeof at === "string" ? at : at.pathname);
  }

  /** The pages of a listing, by the Link in each that leads to the next. */
  async *#pages(
    place: Place,
    at: string | URL,
    search: Record<string, string>,
  ): AsyncIterable<Record<string, unknown>> {
    const first = typeof at === "string" ? urlAt(place, at) : at;
    const what = first.pathname;
    const accept = /\/(manifests|referrers)\/[^/]+$/.test(what) ? OCI_INDEX : "application/json";
    const seen = new Set<string>();
    let response = await this.#get(place, at, accept, search);
    for (;;) {
      yield parseObject(await readDocument(response, place, what), place, what);
      const link = parseLinks(response.headers.get("Link")).find(({ relations }) =>
        relations.includes("next"),
      );
      const next = link && URL.parse(link.target, first);
      if (!next) return;
      // A name of its own that a registry behind a proxy takes for its host is none to connect to.
      next.protocol = place.endpoint.protocol;
      next.host = place.endpoint.host;
      if (seen.has(next.href)) throw unusable(place, `${what} leads in circles`);
      seen.add(next.href);
      response = await this.#get(place, next, accept);
    }
  }
}

/** The digest of bytes in memory. */
export function digestOfBytes(bytes: Uint8Array, algorithm: "sha256" | "sha512" = "sha256"): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

function lengthOf(headers: Headers): number | null {
  const length = headers.get("Content-Length");
  return length !== null && /^\d+$/.test(length) ? Number(length) : null;
}

async function readDocument(response: Answer, place: Place, what: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readBounded(response, MAXIMUM_DOCUMENT, `${place.repository} ${what}`);
  } catch (error) {
    throw failureOfError(error, place.endpoint.host, "");
  }
}

function parseObject(bytes: Uint8Array, place: Place, what: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof json === "object" && json !== null) return { ...json };
  } catch {
    // Told below.
  }
  throw unusable(place, `${place.repository} ${what} is no listing`);
}

/** An answer that came, and is worth nothing. */
function unusable({ endpoint }: Place, why: string, code = "UNAVAILABLE"): RegistryFailure {
  return new RegistryFailure(0, code, `${endpoint.host} sent something wrong: ${why}`);
}
