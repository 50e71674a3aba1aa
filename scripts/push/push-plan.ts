/** Which image is pushed and where to, from what the command line says. Pure. */
import { formatLocation, type Location, parseLocation } from "../archive/location.ts";
import { completeSource, nameTarget } from "../archive/names.ts";
import { normalMirrorUrl } from "../registry/mirror-url.ts";
import { formatReference, type ImageReference, parseAsWritten } from "../registry/reference.ts";
import { type RemoteRepository, remoteOf } from "../registry/remote.ts";

export interface PushPlan {
  source: Location;
  remote: RemoteRepository;
  tag: string;
  /** The target in full, for messages: `mirror.example.com/hosted/team/app:1.0`. */
  name: string;
}

/** What hosted repositories are below, unless HOSTED_PATH says otherwise. */
const HOSTED = "hosted/";

/** A repository of a registry, with a tag if one is written. */
interface Target {
  remote: RemoteRepository;
  reference: ImageReference;
}

/**
 * @param image `docker-daemon:`, `oci:`, `oci-archive:` or `docker-archive:`; a bare name is Docker's.
 * @param target a URL with the repository in its path, a reference with a host, or a repository of the mirror. Null: where the image's own
 *   name says if that has a registry, else `hosted/` and the name.
 * @param mirror the base URL for targets without a host.
 * @throws Error that says what is wrong with one of them.
 */
export function planPush(image: string, target: string | null, mirror: string): PushPlan {
  const written = parseLocation(image);
  const source = completeSource(
    written.kind === "registry" ? parseLocation(`docker-daemon:${image}`) : written,
  );
  const { remote, reference } = target === null ? targetOf(source, mirror) : parseTarget(target, mirror);
  const { tag } = nameTarget(source, { kind: "registry", reference });
  return { source, remote, tag: tag ?? "latest", name: formatReference({ ...reference, tag }) };
}

function parseTarget(text: string, mirror: string): Target {
  const [, base, path] = /^([a-z]+:\/\/[^/]*)\/+(.*)$/s.exec(text) ?? [];
  if (base !== undefined && path !== undefined) {
    if (normalMirrorUrl(base) !== null) return atMirror(path, base);
    throw new Error(
      `"${text}" must be as https://mirror.example.com/hosted/team/app:1.0, without a login in it`,
    );
  }
  if (!/^([^/]*[.:A-Z][^/]*|localhost)\//.test(text)) return atMirror(text, mirror);
  const reference = parseAsWritten(text);
  return { remote: remoteOf(reference), reference };
}

/** @param path `hosted/team/app:1.0` */
function atMirror(path: string, mirror: string): Target {
  const endpoint = new URL(mirror);
  // Not read as a name of Docker Hub, which would get `library/`.
  const reference = { ...parseAsWritten(`localhost/${path}`), registry: endpoint.host };
  return { remote: { endpoint, repository: reference.repository, loginName: endpoint.host }, reference };
}

/** Where an image without a target goes. */
function targetOf(source: Location, mirror: string): Target {
  if (!("reference" in source) || source.reference === null) {
    throw new Error(
      `${formatLocation(source)} has no name of its own: give a target, such as hosted/team/app:1.0`,
    );
  }
  const { reference } = source;
  // podman's name for what was built here.
  const isBare = reference.registry === "docker.io" || reference.registry === "localhost";
  if (!isBare) return { remote: remoteOf(reference), reference };
  const name = reference.repository.replace(/^library\//, "");
  return atMirror(name.startsWith(HOSTED) ? name : HOSTED + name, mirror);
}
