/**
 * What anonymous requests were given, so that a client with a key or a login is served public content as an anonymous one is. That a
 * repository is public doesn't permit using the operator's credential: only what is known of a single object does
 * (`identities.ts`).
 */
import { Remembered } from "../registry/remembered.ts";
import { isByDigest, type UpstreamRequest } from "./request.ts";

/** Milliseconds for which a repository is taken to be as it was found: it may be made private or public at any time. */
const LIFETIME = 5 * 60 * 1000;

type Repository = Pick<UpstreamRequest, "upstream" | "repository">;
type Requested = Pick<UpstreamRequest, "upstream" | "repository" | "path">;

/** One isolate's record. */
export class PublicRepositories {
  readonly #public: Remembered;
  readonly #private: Remembered;
  /** What anonymous requests were given by digest. */
  readonly #given: Remembered;
  /** What an anonymous request found missing: hidden or not there, it says nothing of the rest of its repository. */
  readonly #missing: Remembered;

  constructor(now: () => number) {
    this.#public = new Remembered(LIFETIME, now);
    this.#private = new Remembered(LIFETIME, now);
    this.#given = new Remembered(LIFETIME, now);
    this.#missing = new Remembered(LIFETIME, now);
  }

  /** Null where nothing is known. */
  isPublic(repository: Repository): boolean | null {
    const key = repositoryKey(repository);
    if (this.#public.has(key)) return true;
    return this.#private.has(key) ? false : null;
  }

  wasGiven(request: Requested): boolean {
    return this.#given.has(objectKey(request));
  }

  isMissing(request: Requested): boolean {
    return this.#missing.has(objectKey(request));
  }

  /** The primary gave a manifest or a blob of the repository to an anonymous request. */
  noteGiven(request: Requested): void {
    const key = repositoryKey(request);
    this.#private.delete(key);
    this.#public.add(key);
    if (isByDigest(request)) this.#given.add(objectKey(request));
  }

  /** The primary denied an anonymous request: what was known before no longer holds. */
  noteDenied(request: Requested): void {
    const key = repositoryKey(request);
    this.#public.delete(key);
    this.#private.add(key);
    this.#given.delete(objectKey(request));
  }

  noteMissing(request: Requested): void {
    this.#missing.add(objectKey(request));
  }
}

function repositoryKey({ upstream, repository }: Repository): string {
  return `${upstream.name}/${repository}`;
}

function objectKey(request: Requested): string {
  return `${repositoryKey(request)} ${request.path}`;
}
