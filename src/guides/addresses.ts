/** The address at which a mirror serves an upstream, in each form that clients can express. */
import { hyphenated } from "../config.ts";
import { isLoopback } from "../registry/addresses.ts";
import { REGISTRIES } from "../upstream/registries.ts";
import type { GuideRequest, Shape } from "./guide.ts";

/** The built-in registries that most images come from. */
const COMMON = ["docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.k8s.io", "mcr.microsoft.com"] as const;

/** The requested upstreams; if none are given, the most common ones. */
export function upstreamsOf({ upstreams }: GuideRequest): readonly string[] {
  return upstreams ?? COMMON;
}

/** For clients that need an entry for each registry. */
export function moreNotes(request: GuideRequest): string[] {
  if (!wantsAll(request)) return [];
  return [
    `These are the registries that most images come from. To configure others that the mirror serves, list them with \`--upstream\`, as in \`--upstream ${COMMON[0]},nvcr.io\`.`,
  ];
}

/** Whether to use a single entry for all registries, in clients that allow it. */
export function wantsAll({ upstreams }: GuideRequest): boolean {
  return upstreams === null;
}

/** The names to configure mirrors for in a client that accepts `*` for all registries without an entry; `*` needs the `ns` form. */
export function namesOrAll(request: GuideRequest, shape: Shape): readonly string[] {
  return shape === "ns" && wantsAll(request) ? ["*"] : upstreamsOf(request);
}

/** Host and port, as in an image's name. */
export function authority({ mirror }: GuideRequest): string {
  return mirror.host;
}

export function isPlainHttp({ mirror }: GuideRequest): boolean {
  return mirror.protocol === "http:";
}

/** Whether the mirror is on the client's own machine, on loopback, and so unreachable from containers there. */
export function isOnThisMachine({ mirror }: GuideRequest): boolean {
  return isLoopback(mirror);
}

/** The base URL for an upstream, to which a client adds what `shape` leaves to it. The key isn't in it. */
export function endpoint(request: GuideRequest, upstream: string, shape: Shape): string {
  const { origin } = request.mirror;
  if (shape === "path") return `${origin}/v2/${upstream}`;
  if (shape === "prefix") return `${origin}/${upstream}`;
  if (shape === "ns" || request.domain === null) return origin;
  return hostEndpoint(request.mirror, hostLabel(upstream), request.domain);
}

/** `docker-KEY.example.com`, one label deep so that a wildcard certificate covers it. */
export function keyedHostEndpoint(mirror: URL, upstream: string, domain: string, key: string): string {
  return hostEndpoint(mirror, `${hostLabel(upstream)}-${key}`, domain);
}

function hostEndpoint({ protocol, port }: URL, label: string, domain: string): string {
  return new URL(`${protocol}//${label}.${domain}${port === "" ? "" : `:${port}`}`).origin;
}

/** The host label of an upstream under the mirror's DOMAIN: `docker`, `ghcr`, `registry-corp-example`. */
export function hostLabel(upstream: string): string {
  const alias = REGISTRIES[upstream]?.aliases?.find((each) => !each.includes("."));
  return alias ?? hyphenated(upstream);
}

/** Whether an upstream belongs to a family such as `*.pkg.dev`: its name with hyphens is a host label only, and no path. */
export function isFamilyMember(upstream: string): boolean {
  return Object.keys(REGISTRIES).some((name) => name.startsWith("*") && upstream.endsWith(name.slice(1)));
}

/** The prefix of a reference that pulls through the mirror's own name: `mirror.example.com/ghcr.io`. */
export function referencePrefix(request: GuideRequest, upstream: string): string {
  return `${authority(request)}/${upstream}`;
}

/** Where an upstream's own content is, for clients that want it beside the mirror. */
export function originUrl(upstream: string): string {
  return REGISTRIES[upstream]?.endpoints?.[0] ?? `https://${upstream}`;
}

/**
 * Chooses the form to use, of those that a client supports, best first; the last one needs no DOMAIN.
 * @returns the form, with a note if the requested one can't be used.
 */
export function chooseShape(
  request: GuideRequest,
  carried: readonly [Shape, ...Shape[]],
): { shape: Shape; notes: string[] } {
  const possible = carried.filter((shape) => shape !== "host" || request.domain !== null);
  const shape = possible.find((each) => each === request.shape) ?? possible[0] ?? carried[0];
  const refused = request.shape !== null && request.shape !== shape;
  return { shape, notes: refused ? [refusalOf(request.shape, shape, carried)] : [] };
}

function refusalOf(asked: Shape | null, used: Shape, carried: readonly Shape[]): string {
  const reason =
    asked === "host" && carried.includes("host")
      ? "The host form needs the mirror's DOMAIN (`--domain`)"
      : `This client can't use the ${asked} form`;
  return `${reason}, so the ${used} form is used.`;
}
