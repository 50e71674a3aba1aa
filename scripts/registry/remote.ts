/** Where a repository is requested: at its registry, or at a mirror of it. */
import { isLoopback } from "../../src/registry/addresses.ts";
import { REGISTRIES } from "../../src/upstream/registries.ts";
import type { ImageReference } from "./reference.ts";

export interface RemoteRepository {
  /** A base URL. `/v2` is appended to its path, unless that has one already. */
  endpoint: URL;
  /** As this endpoint names it. */
  repository: string;
  /** The host under which logins are looked up. */
  loginName: string;
  /** Sent along as `ns`, by which some mirrors know what is meant. */
  namespace?: string;
  /** What tokens are to allow; to pull from the repository where it is left out. */
  scopes?: readonly string[];
}

/** Where a reference's own registry has it. On this machine it is requested without TLS first. */
export function remoteOf({
  registry,
  repository,
}: Pick<ImageReference, "registry" | "repository">): RemoteRepository {
  const known = REGISTRIES[registry]?.endpoints?.[0];
  const endpoint = new URL(known ?? `https://${registry}`);
  if (isLoopback(endpoint)) endpoint.protocol = "http:";
  return { endpoint, repository, loginName: registry };
}

/** Where a mirror has it, requested in the shape `/v2/<registry>/<repository>`. */
export function remoteAtMirror(
  mirror: URL,
  { registry, repository }: Pick<ImageReference, "registry" | "repository">,
): RemoteRepository {
  const endpoint = new URL(mirror);
  const base = mirror.pathname.replace(/\/+$/, "");
  endpoint.pathname = /(^|\/)v2(\/|$)/.test(base) ? `${base}/${registry}` : `${base}/v2/${registry}`;
  return { endpoint, repository, loginName: mirror.host };
}

/** The URL of something below a place's `/v2`: of the repository's content, or of the API itself for "". */
export function urlAt({ endpoint, repository, namespace }: RemoteRepository, path: string): URL {
  const base = endpoint.pathname.replace(/\/+$/, "");
  const root = /(^|\/)v2(\/|$)/.test(base) ? base : `${base}/v2`;
  const url = new URL(endpoint);
  url.search = "";
  url.pathname = path === "" ? `${root}/` : `${root}/${repository}/${path}`;
  if (namespace !== undefined) url.searchParams.set("ns", namespace);
  return url;
}

/** The repository as the endpoint's tokens name it: all that stands between `/v2/` and what is requested of it. */
export function scopedRepository(remote: RemoteRepository): string {
  return urlAt(remote, "x")
    .pathname.replace(/^.*?\/v2\//, "")
    .replace(/\/x$/, "");
}

/** The same place, to be written to: one token is for reading and writing. */
export function writable(remote: RemoteRepository): RemoteRepository {
  return { ...remote, scopes: [`repository:${scopedRepository(remote)}:pull,push`] };
}
