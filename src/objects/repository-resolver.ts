/**
 * The Durable Object of some repositories, through which all requests for their tags and manifests go upstream: requests for the
 * same thing at the same time, from anywhere, share one response. Inside it the work belongs to the object and not to the request
 * that began it, so it goes on when that client disconnects.
 */
import { DurableObject } from "cloudflare:workers";
import type { Digest } from "../oci/digest.ts";
import type { RepositoryAccess } from "../pull/repository-access.ts";
import { fetchManifest } from "../pull/resolve.ts";
import type { Fetched, Resolution, ResolveMode, Resolver, TagRequest } from "../pull/resolver.ts";
import { areStored } from "../pull/stale.ts";
import { resolveByPolicy } from "../pull/tag-policy.ts";
import { waitUntilOf } from "../pull/wait-until.ts";
import { passesOf } from "../registry/via.ts";
import { type Env, servicesOf } from "../services.ts";

export class RepositoryResolver extends DurableObject<Env> implements Resolver {
  readonly #services = servicesOf(this.env);
  readonly #pending = new Map<string, Promise<unknown>>();

  resolve(
    access: RepositoryAccess,
    tag: string,
    mode: ResolveMode,
    day: TagRequest["day"] = null,
  ): Promise<Resolution> {
    return this.#once(`${this.#nameOf(access)} ${mode} ${tag}@${day ?? ""}`, () =>
      resolveByPolicy(this.#services, access, { tag, mode, day }, waitUntilOf(this.ctx)),
    );
  }

  fetchManifest(access: RepositoryAccess, digest: Digest): Promise<Fetched> {
    return this.#once(`${this.#nameOf(access)} ${digest}`, () =>
      fetchManifest(this.#services, access, digest, waitUntilOf(this.ctx)),
    );
  }

  /** Looks for blobs on behalf of a request that may not look for so many itself. */
  areStored(access: RepositoryAccess, digests: Digest[]): Promise<boolean> {
    return areStored(this.#services, access, digests);
  }

  /** What leads back here through a loop isn't the same: it would wait for the request that waits for it. */
  #nameOf({ upstream, repository, identity, via }: RepositoryAccess): string {
    return `${upstream}/${repository} ${identity.kind} ${passesOf(via, this.#services.via)}`;
  }

  #once<Result>(name: string, run: () => Promise<Result>): Promise<Result> {
    const pending = this.#pending.get(name) ?? run().finally(() => this.#pending.delete(name));
    this.#pending.set(name, pending);
    return pending as Promise<Result>;
  }
}
