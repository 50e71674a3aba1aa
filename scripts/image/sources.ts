/** Who is requested: the publisher's registry and the mirrors, each with the place where it has an image. */
import { isLoopback } from "../../src/registry/addresses.ts";
import type { ImageReference } from "../registry/reference.ts";
import { type RemoteRepository, remoteOf } from "../registry/remote.ts";

export interface Source {
  /** As it is called in what is printed: a mirror's URL, a registry's host. */
  name: string;
  remote: RemoteRepository;
}

/**
 * The publisher's side of a reference: its own registry, or the one given in its stead, which has the image under the same name.
 * @param against a registry's host or base URL; null for the reference's own.
 * @throws Error for one that isn't either.
 */
export function publisherOf(reference: ImageReference, against: string | null): Source {
  if (against === null) {
    const remote = remoteOf(reference);
    return { name: remote.endpoint.host, remote };
  }
  const endpoint = URL.parse(against.includes("://") ? against : `https://${against}`);
  if (endpoint === null || !/^https?:$/.test(endpoint.protocol)) {
    throw new Error(`--against must be a registry's host or URL, which "${against}" isn't`);
  }
  if (!against.includes("://") && isLoopback(endpoint)) endpoint.protocol = "http:";
  return {
    name: endpoint.host,
    remote: { endpoint, repository: reference.repository, loginName: endpoint.host },
  };
}

/**
 * A mirror as clients ask it that have it in their configuration: by the plain name of the repository, with the registry as `ns`. That
 * fits mirrors of one registry, which pass over `ns`, and those of several.
 */
export function mirrorSource(mirror: string, { repository, registry }: ImageReference): Source {
  const endpoint = new URL(mirror);
  return { name: mirror, remote: { endpoint, repository, loginName: endpoint.host, namespace: registry } };
}
