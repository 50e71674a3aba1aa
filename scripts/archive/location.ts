/** Where an image is, as the command line names it: in a registry, or in one of skopeo's transports. Pure. */
import { type Digest, parseDigest } from "../../src/oci/digest.ts";
import { formatReference, type ImageReference, parseAsWritten } from "../registry/reference.ts";

export type Location =
  | { kind: "registry"; reference: ImageReference }
  /** An OCI image layout: a folder, or a tar of one. `name` is the image's in it, most often a tag. */
  | { kind: "oci" | "oci-archive"; path: string; name: string | null }
  /** What `docker save` writes. */
  | { kind: "docker-archive"; path: string; reference: ImageReference | null }
  /** The Docker of this machine; `id` is an image's ID there. */
  | { kind: "docker-daemon"; reference: ImageReference }
  | { kind: "docker-daemon"; id: Digest };

const TRANSPORT = /^(oci|oci-archive|docker-archive|docker-daemon):(.*)$/s;

/** What a layout may call an image (image-spec, annotations.md, `org.opencontainers.image.ref.name`). */
const NAME =
  /^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:\/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*$/;

/**
 * Reads `oci:DIR[:NAME]`, `oci-archive:FILE[:NAME]`, `docker-archive:FILE[:IMAGE]`, `docker-daemon:IMAGE` or an image
 * reference. A path ends at the first colon, as with skopeo.
 * @returns references as they are written: the tag is null where there is none.
 * @throws Error that says what is wrong with it.
 */
export function parseLocation(text: string): Location {
  const [, kind, rest = ""] = TRANSPORT.exec(text) ?? [];
  switch (kind) {
    case "oci":
    case "oci-archive": {
      const { path, name } = splitPath(text, rest);
      if (name !== null && !NAME.test(name)) throw new Error(`"${text}": ${name} can't be an image's name`);
      return { kind, path, name };
    }
    case "docker-archive": {
      const { path, name } = splitPath(text, rest);
      return { kind, path, reference: name === null ? null : withoutDigest(parseAsWritten(name)) };
    }
    case "docker-daemon": {
      const id = parseDigest(rest);
      return id ? { kind, id } : { kind, reference: withoutDigest(parseAsWritten(rest)) };
    }
    default:
      return { kind: "registry", reference: parseAsWritten(text) };
  }
}

/** The location in full, for messages. */
export function formatLocation(location: Location): string {
  const { kind } = location;
  if (kind === "registry") return formatReference(location.reference);
  if (kind === "docker-daemon")
    return `${kind}:${"id" in location ? location.id : formatReference(location.reference)}`;
  const name =
    kind === "docker-archive" ? location.reference && formatReference(location.reference) : location.name;
  return `${kind}:${location.path}${name === null ? "" : `:${name}`}`;
}

function splitPath(text: string, rest: string): { path: string; name: string | null } {
  const [, path = "", name] = /^([^:]*)(?::(.*))?$/s.exec(rest) ?? [];
  if (path === "") throw new Error(`"${text}" names no file`);
  return { path, name: name === undefined || name === "" ? null : name };
}

/** Docker's archives know tags only. */
function withoutDigest(reference: ImageReference): ImageReference {
  if (reference.digest === null) return reference;
  throw new Error(
    `${formatReference(reference)}: Docker and its archives name images by tags, not by digests`,
  );
}
