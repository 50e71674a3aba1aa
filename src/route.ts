/** What a request asks for, read from its host, path and query and from nothing else. */
import type { Config } from "./config.ts";
import { parseDigest } from "./oci/digest.ts";
import { RegistryError } from "./oci/errors.ts";
import { isMixedCaseRepository, isRepository, isTag } from "./oci/names.ts";
import type { Resource, Target } from "./pull/target.ts";
import type { HostedResource, HostedTarget } from "./push/target.ts";
import { repositoryOn, type Upstream } from "./upstream/registries.ts";

/** `ping` is `GET /v2/`, in whatever shape; `elsewhere` is no registry request at all. */
export type Routed =
  | { kind: "target"; target: Target }
  | { kind: "hosted"; target: HostedTarget }
  | { kind: "catalog"; path: string; isPrefixed: boolean }
  | { kind: "ping" }
  | { kind: "elsewhere" };

export type HostedRoute = Extract<Routed, { kind: "hosted" }>;

/** The hosted repository's resource that a URL names; null for any other URL, and for one that isn't valid. */
export function hostedRoute(url: URL, config: Config): HostedRoute | null {
  if (!isHosted(url, config)) return null;
  try {
    const routed = route(url, config);
    return routed.kind === "hosted" ? routed : null;
  } catch (error) {
    if (error instanceof RegistryError) return null;
    throw error;
  }
}

/** Whether a URL is one of hosted repositories, the only ones that take other methods than GET and HEAD. */
export function isHosted(url: URL, config: Config): boolean {
  if (isHostedHost(url.hostname, config)) return true;
  const [first, second] = url.pathname.slice(1).split("/");
  return first === "v2" ? second === config.hosted.path : first === config.hosted.path && second === "v2";
}

/** Whether a host has only hosted repositories. */
function isHostedHost(host: string, { domain, hosted }: Config): boolean {
  return domain !== null && host === `${hosted.host}.${domain}`;
}

/**
 * Reads a request's URL in the four shapes, host before path before `ns`:
 * H `docker.<domain>/v2/R`, A `/v2/ghcr.io/R`, B `/ghcr.io/v2/R`, N `/v2/R?ns=ghcr.io`.
 *
 * @throws RegistryError 400 NAME_INVALID or DIGEST_INVALID for what no registry can have, 404 MANIFEST_UNKNOWN for a
 *   reference that can be no tag, and 404 NAME_UNKNOWN for an upstream that isn't mirrored, naming those that are.
 */
export function route(url: URL, config: Config): Routed {
  const path = decodePath(url.pathname);
  const [first = "", second, ...rest] = path.slice(1).split("/");
  const hostUpstream = upstreamOfHost(url.hostname, config);

  if (isHostedHost(url.hostname, config)) {
    return first === "v2" ? hosted(path.slice("/v2/".length), "/v2") : { kind: "elsewhere" };
  }
  if (first === config.hosted.path && second === "v2") return hosted(rest.join("/"), `/${first}/v2`);
  if (first === "v2" && !hostUpstream && second === config.hosted.path) {
    return hosted(rest.join("/"), `/v2/${second}`);
  }
  if (first === "v2" && !hostUpstream && second === "_catalog" && rest.length === 0) {
    return { kind: "catalog", path: "/v2/_catalog", isPrefixed: true };
  }
  if (first === "v2") {
    const tail = path.slice("/v2".length).replace(/^\//, "");
    if (tail === "" || (!hostUpstream && config.upstream(tail.replace(/\/$/, "")))) return { kind: "ping" };
    if (hostUpstream) return dated(target(hostUpstream, tail, "/v2", null), url);
    return dated(unhosted(tail, url.searchParams.get("ns"), config), url);
  }
  if (second !== "v2") return { kind: "elsewhere" };
  const upstream = known(first, config);
  const tail = rest.join("/");
  return tail === ""
    ? { kind: "ping" }
    : dated(target(hostUpstream ?? upstream, tail, `/${first}/v2`, null), url);
}

/** A target as of the day that `at` names, unless its path does. @throws RegistryError 404 for what is no day. */
function dated(target: Target, url: URL): Routed {
  const at = url.searchParams.get("at");
  const day = target.day ?? (at === null ? null : dayOf(at));
  return { kind: "target", target: { ...target, day } };
}

/** @param text `2026-11-01` @throws RegistryError 404 */
function dayOf(text: string): string {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(text) : Number.NaN;
  // JavaScript takes February 30 for a day in March.
  if (!Number.isNaN(time) && new Date(time).toISOString().startsWith(text)) return text;
  throw new RegistryError(404, "MANIFEST_UNKNOWN", `${printable(text)} is no day: one is written 2026-11-01`);
}

/**
 * Shapes A and N, and a plain name, which belongs to the default upstream. Before an upstream's name may stand a day, for clients
 * that have only a name: `at-20261101/docker.io/library/alpine`.
 */
function unhosted(tail: string, namespace: string | null, config: Config): Target {
  const [first = ""] = tail.split("/", 1);
  const [, year, month, date, rest = ""] = /^at-(\d{4})(\d\d)(\d\d)\/(.+)$/s.exec(tail) ?? [];
  const [second = ""] = rest.split("/", 1);
  const upstream = config.upstream(second);
  if (upstream) {
    const day = dayOf(`${year}-${month}-${date}`);
    return { ...target(upstream, rest.slice(second.length + 1), `/v2/${first}/${second}`, null), day };
  }
  const named = config.upstream(first);
  if (named) return target(named, tail.slice(first.length + 1), `/v2/${first}`, null);
  if (namespace !== null) return target(known(namespace, config), tail, "/v2", namespace);
  if (/[.:]/.test(first)) throw unknownUpstream(first, config);
  return target(config.defaultUpstream, tail, "/v2", null);
}

/** The upstream whose own host this is: `docker.<domain>`; null for any other. */
export function upstreamOfHost(host: string, config: Config): Upstream | null {
  if (config.domain === null || !host.endsWith(`.${config.domain}`)) return null;
  const label = host.slice(0, -config.domain.length - 1);
  return label.includes(".") ? null : config.upstreamByLabel(label);
}

function known(name: string, config: Config): Upstream {
  const upstream = config.upstream(name);
  if (!upstream) throw unknownUpstream(name, config);
  return upstream;
}

function unknownUpstream(name: string, config: Config): RegistryError {
  const names = config.upstreamNames.join(", ");
  return new RegistryError(
    404,
    "NAME_UNKNOWN",
    `${printable(name)} is not mirrored here; known are: ${names}`,
  );
}

/**
 * Splits `<repository>/manifests/<reference>` and its like. A repository may itself be called `manifests` or `blobs`,
 * so the last such word counts.
 */
function target(upstream: Upstream, tail: string, prefix: string, namespace: string | null): Target {
  const [, name, kind, last] =
    /^(.+)\/(tags)\/(list)$/s.exec(tail) ?? /^(.+)\/(manifests|blobs|referrers)\/([^/]+)$/s.exec(tail) ?? [];
  if (name === undefined || kind === undefined || last === undefined) {
    throw new RegistryError(404, "UNSUPPORTED", "this is no pull request of the distribution specification");
  }
  const repository = repositoryOn(upstream, name);
  const isValid = MIXED_CASE.includes(upstream.name) ? isMixedCaseRepository : isRepository;
  if (!isValid(repository) || upstream.name.length + 1 + repository.length > MAXIMUM_NAME) {
    throw new RegistryError(400, "NAME_INVALID", `${printable(name)} is not a valid repository name`);
  }
  return {
    upstream,
    repository,
    resource: resourceOf(kind, last),
    day: null,
    path: `${prefix}/${name}`,
    namespace,
  };
}

/** As `target`, for a hosted repository. @param path what stands before its name in this client's paths. */
function hosted(tail: string, path: string): Routed {
  if (tail === "") return { kind: "ping" };
  if (tail === "_catalog") return { kind: "catalog", path: `${path}/_catalog`, isPrefixed: false };
  const upload = /^(.+)\/blobs\/uploads\/([^/]*)$/s.exec(tail);
  const [, name, kind, last] =
    /^(.+)\/(tags)\/(list)$/s.exec(tail) ?? /^(.+)\/(manifests|blobs|referrers)\/([^/]+)$/s.exec(tail) ?? [];
  const repository = upload?.[1] ?? name;
  if (repository === undefined) {
    throw new RegistryError(404, "UNSUPPORTED", "this is no request of the distribution specification");
  }
  if (!isRepository(repository) || repository.length > MAXIMUM_NAME) {
    throw new RegistryError(400, "NAME_INVALID", `${printable(repository)} is not a valid repository name`);
  }
  const resource = upload ? uploadOf(upload[2] ?? "") : resourceOf(kind ?? "", last ?? "");
  return { kind: "hosted", target: { repository, resource, path: `${path}/${repository}` } };
}

function uploadOf(id: string): HostedResource {
  if (id === "") return { kind: "upload", id: null };
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return { kind: "upload", id };
  throw new RegistryError(404, "BLOB_UPLOAD_UNKNOWN", "there is no such upload here");
}

/** Upstreams whose repositories may have letters in upper case. */
const MIXED_CASE = ["registry.ollama.ai", "hf.co"];

/** "The total length of the repository name, including the hostname" that clients accept (distribution spec, "Pull"). */
const MAXIMUM_NAME = 255;

function resourceOf(kind: string, last: string): Resource {
  if (kind === "tags") return { kind };
  const digest = parseDigest(last);
  if (kind === "manifests") {
    if (digest) return { kind: "manifest", reference: { digest } };
    if (isTag(last)) return { kind: "manifest", reference: { tag: last } };
    if (!last.includes(":")) {
      throw new RegistryError(404, "MANIFEST_UNKNOWN", `${printable(last)} is not a valid tag`);
    }
  }
  if (!digest) {
    throw new RegistryError(400, "DIGEST_INVALID", `${printable(last)} is not a sha256 or sha512 digest`);
  }
  return kind === "blobs" ? { kind: "blob", digest } : { kind: "referrers", digest };
}

/**
 * Some clients write a digest's colon as `%3A`. No other character of a name, tag or digest needs escaping, so any
 * other escape could only smuggle a separator past the grammar (`%2F`, `%2e%2e`).
 */
function decodePath(pathname: string): string {
  return pathname.replaceAll(/%3a/gi, ":");
}

/** What a client sent, made fit for an error message: short, and nothing in it that a terminal or log would obey. */
function printable(text: string): string {
  const shown = text.replaceAll(/[^\x21-\x7e]/g, "?");
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
}
