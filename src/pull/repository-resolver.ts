/**
 * The Durable Object of some repositories, through which everybody asks upstream about its tags and manifests: whoever asks
 * for the same thing at the same time, anywhere, waits for the same answer. Inside it the work belongs to the object and
 * not to the request that began it, so it goes on when that client leaves.
 */
import { DurableObject } from "cloudflare:workers";
import type { Digest } from "../oci/digest.ts";
import { passesOf } from "../registry/via.ts";
import { backgroundOf } from "./background.ts";
import { type Env, type Mirror, mirrorOf } from "./mirror.ts";
import type { Place } from "./place.ts";
import { type Fetched, fetchManifest, type Resolution, resolveTag, type TagWish } from "./resolve.ts";
import { areStored } from "./stale.ts";

export class RepositoryResolver extends DurableObject<Env> {
  readonly #mirror: Mirror;
  readonly #pending = new Map<string, Promise<unknown>>();

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#mirror = mirrorOf(env);
  }

  resolve(place: Place, tag: string, wish: TagWish): Promise<Resolution> {
    return this.#once(`${this.#nameOf(place)} ${wish} ${tag}`, () =>
      resolveTag(this.#mirror, place, tag, wish, backgroundOf(this.ctx)),
    );
  }

  fetchManifest(place: Place, digest: Digest): Promise<Fetched> {
    return this.#once(`${this.#nameOf(place)} ${digest}`, () =>
      fetchManifest(this.#mirror, place, digest, backgroundOf(this.ctx)),
    );
  }

  /** Looks for blobs on behalf of a request that may not look for so many itself. */
  areStored(place: Place, digests: Digest[]): Promise<boolean> {
    return areStored(this.#mirror, place, digests);
  }

  /** What leads back here through a loop isn't the same: it would wait for the request that waits for it. */
  #nameOf({ upstream, repository, authority, via }: Place): string {
    return `${upstream}/${repository} ${authority.kind} ${passesOf(via, this.#mirror.via)}`;
  }

  #once<Answer>(name: string, ask: () => Promise<Answer>): Promise<Answer> {
    const pending = this.#pending.get(name) ?? ask().finally(() => this.#pending.delete(name));
    this.#pending.set(name, pending);
    return pending as Promise<Answer>;
  }
}
