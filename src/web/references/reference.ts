/** Image references as people write them, and the same images by way of a mirror. Pure: the page's script runs it in the browser. */
import { isRepository, isTag } from "../../oci/names.ts";

export interface Reference {
  /** `docker.io`, `ghcr.io`, `localhost:5000`. */
  registry: string;
  /** As the registry knows it: `library/alpine`. */
  repository: string;
  /** What follows the name, as it was written: `:3.20`, `@sha256:…`, both, `:${TAG}`, or nothing. */
  suffix: string;
}

/** How a mirror names the images that it serves. */
export interface MirrorNames {
  /** Host and port. */
  host: string;
  /** Names of the upstreams that it serves; `*.pkg.dev` stands for all hosts below `pkg.dev`. */
  upstreams: readonly string[];
  /**
   * Host labels by upstream, for a page that was opened under an upstream's own host, where paths name no upstream; null where the
   * path does.
   */
  hosts: Readonly<Record<string, string>> | null;
}

/** Names by which Docker Hub is known besides its own. */
const HUB_NAMES = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com"];

/** Characters of the longest reference: a name of 255, a tag, and a sha512 digest. */
const LONGEST = 600;
/** What files put in the place of a tag: `$TAG`, `${TAG:-latest}`, `{{ .Values.tag }}`. */
const VARIABLE =
  /^(?=[A-Za-z0-9_.-]*[${])(?:[A-Za-z0-9_.-]|\$[A-Za-z_][A-Za-z0-9_]*|\$\{[^{}\s]*\}|\{\{[^{}]*\}\})+$/;
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/**
 * Reads a reference by Docker's rules: what comes before the first slash is a registry if it has a dot or a port, or is
 * `localhost`; a name of one part is one of Docker Hub's own images.
 * @returns null for what isn't a reference.
 */
export function parseReference(text: string): Reference | null {
  if (text.length > LONGEST) return null;
  const at = text.indexOf("@");
  const digest = at === -1 ? null : text.slice(at + 1);
  if (digest !== null && !DIGEST.test(digest)) return null;
  const named = at === -1 ? text : text.slice(0, at);
  const colon = colonOfTag(named);
  const tag = colon === -1 ? null : named.slice(colon + 1);
  if (tag !== null && !isTag(tag) && !VARIABLE.test(tag)) return null;
  const name = colon === -1 ? named : named.slice(0, colon);
  const { registry, path } = split(name);
  const repository = registry === "docker.io" && !path.includes("/") ? `library/${path}` : path;
  if (!isHost(registry) || !isRepository(repository)) return null;
  return { registry, repository, suffix: text.slice(name.length) };
}

/** The colon before the tag: not one of a port, and none within a variable, as in `${TAG:-latest}`. */
function colonOfTag(named: string): number {
  const variable = named.search(/\$|\{\{/);
  const head = variable === -1 ? named : named.slice(0, variable);
  const colon = head.lastIndexOf(":");
  return colon > head.lastIndexOf("/") ? colon : -1;
}

function split(name: string): { registry: string; path: string } {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  if (!/[.:]/.test(first) && first !== "localhost") return { registry: "docker.io", path: name };
  const host = first.toLowerCase();
  return { registry: HUB_NAMES.includes(host) ? "docker.io" : host, path: name.slice(slash + 1) };
}

function isHost(text: string): boolean {
  return text.length <= 255 && /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/.test(text);
}

/** The reference in full, with its registry. */
export function formatReference({ registry, repository, suffix }: Reference): string {
  return `${registry}/${repository}${suffix}`;
}

/** Whether a reference leads to the mirror already. */
export function isMirrored({ registry }: Reference, { host, hosts }: MirrorNames): boolean {
  return registry === host.toLowerCase() || (hosts !== null && Object.values(hosts).includes(registry));
}

/** The prefix of a registry's images on the mirror; null for one that it doesn't serve. */
export function mirrorPrefix(registry: string, { host, upstreams, hosts }: MirrorNames): string | null {
  const isServed = upstreams.some((name) =>
    name.startsWith("*.") ? registry.endsWith(name.slice(1)) : registry === name,
  );
  if (!isServed) return null;
  if (hosts === null) return `${host}/${registry}`;
  return Object.hasOwn(hosts, registry) ? (hosts[registry] ?? null) : null;
}

/** The same image on the mirror; null for one of a registry that the mirror doesn't serve. */
export function throughMirror(reference: Reference, mirror: MirrorNames): string | null {
  const prefix = mirrorPrefix(reference.registry, mirror);
  return prefix === null ? null : `${prefix}/${reference.repository}${reference.suffix}`;
}
