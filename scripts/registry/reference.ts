/** Image references as people write them, made whole as docker does. */
import { type Digest, parseDigest } from "../../src/oci/digest.ts";
import { isRepository, isTag } from "../../src/oci/names.ts";

export interface ImageReference {
  /** As in references: `docker.io`, `127.0.0.1:5000`. */
  registry: string;
  /** With `library/` where Docker Hub wants it. */
  repository: string;
  /** `latest` where neither a tag nor a digest was written; null where there is a digest alone. */
  tag: string | null;
  digest: Digest | null;
}

const HOST = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;

/**
 * Reads `[registry/]repository[:tag][@digest]`. The first part is a registry if it has a dot, a port or an upper-case
 * letter, or is `localhost`; else the image is Docker Hub's. Where neither a tag nor a digest is written, `latest` is meant.
 * @throws Error that says what is wrong with it.
 */
export function parseReference(text: string): ImageReference {
  const written = parseAsWritten(text);
  return { ...written, tag: written.tag ?? (written.digest === null ? "latest" : null) };
}

/** As `parseReference`, but the tag is null where none is written. */
export function parseAsWritten(text: string): ImageReference {
  const wrong = (why: string) => new Error(`"${text}" is no image reference: ${why}`);
  const scheme = /^[a-z]+:\/\//.exec(text)?.[0];
  if (scheme) throw wrong(`leave out ${scheme}`);
  const at = text.indexOf("@");
  const digest = at === -1 ? null : parseDigest(text.slice(at + 1));
  if (at !== -1 && digest === null) {
    throw wrong("after @ comes sha256: with 64, or sha512: with 128 digits of lower-case hexadecimal");
  }
  const named = at === -1 ? text : text.slice(0, at);
  const { registry, rest } = splitRegistry(named);
  if (!HOST.test(registry)) throw wrong(`${registry} is no host`);
  const colon = rest.lastIndexOf(":");
  const tag = colon === -1 ? null : rest.slice(colon + 1);
  if (tag !== null && !isTag(tag)) {
    throw wrong("a tag has 1 to 128 letters, digits, dots, hyphens and underscores");
  }
  const name = colon === -1 ? rest : rest.slice(0, colon);
  const repository = repositoryOn(registry, name);
  if (!isRepository(repository)) {
    const hint = name === "" ? "the repository is missing" : `${name} can't be a repository`;
    throw wrong(`${hint}; its parts have lower-case letters and digits, separated by . _ - or /`);
  }
  return { registry, repository, tag, digest };
}

/** The reference in full: `docker.io/library/alpine:3.20@sha256:…`. */
export function formatReference({ registry, repository, tag, digest }: ImageReference): string {
  return `${registry}/${repository}${tag === null ? "" : `:${tag}`}${digest === null ? "" : `@${digest}`}`;
}

/** What a manifest is requested by: the digest, which leaves nothing open, or else the tag. */
export function manifestReference({ tag, digest }: ImageReference): string {
  return digest ?? tag ?? "latest";
}

/** A name's registry, `docker.io` where it has none, and what follows. */
export function splitRegistry(name: string): { registry: string; rest: string } {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost = /[.:A-Z]/.test(first) || first === "localhost";
  if (!isHost) return { registry: "docker.io", rest: name };
  return { registry: first === "index.docker.io" ? "docker.io" : first, rest: name.slice(slash + 1) };
}

/** A repository as its registry knows it: Docker Hub's own images lie below `library/`. */
export function repositoryOn(registry: string, name: string): string {
  return registry === "docker.io" && name !== "" && !name.includes("/") ? `library/${name}` : name;
}
