/** What a registry can be requested: manifests, blobs, tags and referrers, each proved as far as it can be. */
import { createHash } from "node:crypto";
import * as v from "valibot";
import { type Digest, digestParts, parseDigest, referrersTag } from "../../src/oci/digest.ts";
import { nextTarget } from "../../src/oci/link.ts";
import { type Descriptor, manifestType, readManifest } from "../../src/oci/manifest.ts";
import { essence, MANIFEST_ACCEPT, OCI_INDEX, OCI_MANIFEST } from "../../src/oci/mediatypes.ts";
import { isRepository, isTag } from "../../src/oci/names.ts";
import { readBounded } from "../../src/registry/bounded-read.ts";
import { Exchange, type ExchangeOptions } from "./exchange.ts";
import { failureOfError, RegistryFailure } from "./failure.ts";
import { type RemoteRepository, urlAt } from "./remote.ts";
import type { RegistryResponse } from "./response.ts";

export { RegistryFailure } from "./failure.ts";
export { type RemoteRepository, remoteAtMirror, remoteOf, writable } from "./remote.ts";

export interface FetchedManifest {
  digest: Digest;
  mediaType: string;
  bytes: Uint8Array<ArrayBuffer>;
  headers: Headers;
}

export interface HeadResult {
  /** As the registry says; null where it doesn't. */
  digest: Digest | null;
  mediaType: string;
  /** In bytes. */
  size: number | null;
  headers: Headers;
}

/** Our own code for a body that isn't the listing it should be. */
const NO_LISTING = "NO_LISTING";

/** Bytes of the largest manifest or listing that is read, as at the mirror. */
const MAXIMUM_DOCUMENT = 8 * 1024 * 1024;
/** What registries answer to a HEAD where they answer a GET as they should. */
const UNLIKE_GET = [400, 403, 405, 500, 501];
/** What isn't text is no name either. */
const Names = v.fallback(v.array(v.fallback(v.string(), "")), []);
const Tags = v.object({ tags: Names });
const Repositories = v.object({ repositories: Names });

/** Tags requested at a time. */
const PAGE = "1000";

/** All methods throw a RegistryFailure for whatever they don't return. */
export class RegistryClient {
  readonly exchange: Exchange;

  constructor(options: ExchangeOptions) {
    this.exchange = new Exchange(options);
  }

  /**
   * Fetches a manifest and verifies it by the digest that was requested. For a tag the digest is that of the body: many
   * registries declare a wrong one, of which only the algorithm counts.
   * @param reference a tag or a digest.
   */
  async manifest(remote: RemoteRepository, reference: string): Promise<FetchedManifest> {
    const what = `manifests/${reference}`;
    const response = await this.#get(remote, what, MANIFEST_ACCEPT);
    const bytes = await readDocument(response, remote, what);
    const requested = parseDigest(reference);
    const named = requested ?? parseDigest(response.headers.get("Docker-Content-Digest") ?? "");
    const digest = digestOfBytes(bytes, named ? digestParts(named).algorithm : "sha256");
    if (requested !== null && digest !== requested) {
      const why = `${remote.repository} ${what} is ${digest}, though it should be ${requested}`;
      throw unusable(remote, why, "DIGEST_INVALID");
    }
    const manifest = readManifest(bytes);
    if (!manifest) {
      const type = essence(response.headers.get("Content-Type"));
      const why = `${remote.repository} ${what} is no manifest that is known here (${type})`;
      throw unusable(remote, why, "MANIFEST_INVALID");
    }
    const mediaType = manifestType(bytes) ?? OCI_MANIFEST;
    return { digest, mediaType, bytes, headers: response.headers };
  }

  /** @returns null for what the registry doesn't have. */
  async head(remote: RemoteRepository, reference: string): Promise<HeadResult | null> {
    const headers = await this.#head(remote, `manifests/${reference}`, { Accept: MANIFEST_ACCEPT });
    return (
      headers && {
        digest: parseDigest(headers.get("Docker-Content-Digest") ?? ""),
        mediaType: essence(headers.get("Content-Type")),
        size: lengthOf(headers),
        headers,
      }
    );
  }

  /**
   * @param options.range as in the header: `bytes=0-1023`.
   * @returns the response, 200 or 206, its body unread and unproved.
   */
  async blob(
    remote: RemoteRepository,
    digest: Digest,
    { range, signal }: { range?: string; signal?: AbortSignal } = {},
  ): Promise<RegistryResponse> {
    const at = `blobs/${digest}`;
    const response = await this.exchange.send(remote, {
      method: "GET",
      at,
      ...(range && { headers: { Range: range } }),
      ...(signal && { signal }),
    });
    if (response.status !== 200 && response.status !== 206) {
      throw await this.exchange.failure(remote, response, at);
    }
    return response;
  }

  /** @returns the blob's size in bytes, or null where it isn't there. */
  async hasBlob(remote: RemoteRepository, digest: Digest): Promise<number | null> {
    const heading = await this.headBlob(remote, digest);
    return heading && (heading.size ?? 0);
  }

  /** @returns null for a blob that the registry doesn't have. */
  async headBlob(
    remote: RemoteRepository,
    digest: Digest,
  ): Promise<Omit<HeadResult, "digest" | "mediaType"> | null> {
    const headers = await this.#head(remote, `blobs/${digest}`);
    return headers && { size: lengthOf(headers), headers };
  }

  /** The headers of something; requested by GET, whose body is left, where HEAD fails: some registries answer only that. */
  async #head(
    remote: RemoteRepository,
    at: string,
    headers: Record<string, string> = {},
  ): Promise<Headers | null> {
    for (const method of ["HEAD", "GET"] as const) {
      const response = await this.exchange.send(remote, { method, at, headers });
      const isLast = method === "GET" || !UNLIKE_GET.includes(response.status);
      if (isLast && response.status !== 200 && response.status !== 404) {
        throw await this.exchange.failure(remote, response, at);
      }
      await response.body?.cancel();
      if (isLast) return response.status === 200 ? response.headers : null;
    }
    return null;
  }

  /** Lists a repository's tags, page by page as they are read. */
  async *tags(remote: RemoteRepository): AsyncIterable<string> {
    for await (const page of this.#pages(remote, "tags/list", { n: PAGE })) {
      yield* v.parse(Tags, page).tags.filter(isTag);
    }
  }

  /** Lists the repositories of the registry that a place is at, which few registries allow (Docker's "Catalog"). */
  async *repositories(remote: RemoteRepository): AsyncIterable<string> {
    const catalog = { ...remote, repository: "_catalog", scopes: ["registry:catalog:*"] };
    const at = new URL("_catalog", urlAt(remote, ""));
    for await (const page of this.#pages(catalog, at, { n: PAGE })) {
      yield* v.parse(Repositories, page).repositories.filter(isRepository);
    }
  }

  /**
   * What refers to a manifest: by the referrers API, or by the tag that stands in for it.
   * @param artifactType only those of this type.
   */
  async referrers(remote: RemoteRepository, digest: Digest, artifactType?: string): Promise<Descriptor[]> {
    const search: Record<string, string> = artifactType === undefined ? {} : { artifactType };
    const found =
      (await this.#listed(remote, `referrers/${digest}`, search)) ??
      (await this.#listed(remote, `manifests/${referrersTag(digest)}`, {})) ??
      [];
    return found.filter((each) => artifactType === undefined || each.artifactType === artifactType);
  }

  /** What the index at a path lists; null where there is none: registries without it answer anything, a page with 200 too. */
  async #listed(
    remote: RemoteRepository,
    at: string,
    search: Record<string, string>,
  ): Promise<Descriptor[] | null> {
    const found: Descriptor[] = [];
    try {
      for await (const page of this.#pages(remote, at, search)) {
        const index = readManifest(Buffer.from(JSON.stringify(page)));
        if (index?.kind !== "index") return null;
        found.push(...index.manifests);
      }
      return found;
    } catch (error) {
      if (!(error instanceof RegistryFailure)) throw error;
      const { status, code } = error;
      const isRefusal = (status >= 400 && status < 500) || status === 501;
      if (code === NO_LISTING || (isRefusal && ![408, 429].includes(status))) return null;
      throw error;
    }
  }

  /** Whether the registry answers at all, and lets the login in if there is one. */
  async ping(remote: RemoteRepository): Promise<void> {
    const response = await this.exchange.send(remote, { method: "GET", at: "", scopes: [] });
    if (response.status !== 200) throw await this.exchange.failure(remote, response, "/v2/");
    await response.body?.cancel();
  }

  async #get(
    remote: RemoteRepository,
    at: string | URL,
    accept: string,
    search?: Record<string, string>,
  ): Promise<RegistryResponse> {
    const headers = { Accept: accept };
    const response = await this.exchange.send(remote, {
      method: "GET",
      at,
      headers,
      ...(search && { search }),
    });
    if (response.status === 200) return response;
    throw await this.exchange.failure(remote, response, typeof at === "string" ? at : at.pathname);
  }

  /** The pages of a listing, by the Link in each that leads to the next. */
  async *#pages(
    remote: RemoteRepository,
    at: string | URL,
    search: Record<string, string>,
  ): AsyncIterable<unknown> {
    const first = typeof at === "string" ? urlAt(remote, at) : at;
    const what = first.pathname;
    const accept = /\/(manifests|referrers)\/[^/]+$/.test(what) ? OCI_INDEX : "application/json";
    const seen = new Set<string>();
    let response = await this.#get(remote, at, accept, search);
    for (;;) {
      yield parseJson(await readDocument(response, remote, what), remote, what);
      const target = nextTarget(response.headers.get("Link"));
      const next = target === null ? null : URL.parse(target, first);
      if (!next) return;
      // A name of its own that a registry behind a proxy takes for its host is none to connect to.
      const { protocol, hostname, port } = remote.endpoint;
      Object.assign(next, { protocol, hostname, port });
      if (seen.has(next.href)) throw unusable(remote, `${what} leads in circles`);
      seen.add(next.href);
      response = await this.#get(remote, next, accept);
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

async function readDocument(
  response: RegistryResponse,
  remote: RemoteRepository,
  what: string,
): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readBounded(response, MAXIMUM_DOCUMENT, `${remote.repository} ${what}`);
  } catch (error) {
    throw failureOfError(error, remote.endpoint.host, "");
  }
}

function parseJson(bytes: Uint8Array, remote: RemoteRepository, what: string): unknown {
  try {
    return v.parse(v.record(v.string(), v.unknown()), JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    throw unusable(remote, `${remote.repository} ${what} is no listing`, NO_LISTING);
  }
}

/** A response that came, and is worth nothing. */
function unusable({ endpoint }: RemoteRepository, why: string, code = "UNAVAILABLE"): RegistryFailure {
  return new RegistryFailure(0, code, `${endpoint.host} sent something wrong: ${why}`);
}
