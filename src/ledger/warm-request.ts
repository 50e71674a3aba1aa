/** The owner's request to fetch an image ahead. */
import * as v from "valibot";
import type { Gate } from "../access/gate.ts";
import type { Config } from "../config.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { clientError } from "../pull/client-error.ts";
import { identityFor } from "../pull/identity.ts";
import { accessOf, type RepositoryAccess } from "../pull/repository-access.ts";
import type { PullServices } from "../pull/services.ts";
import type { Resource, Target } from "../pull/target.ts";
import { OWNER, type Warmed, warm } from "../pull/warm.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { route } from "../route.ts";
import type { Recalls } from "./recalls.ts";
import { ownerOf } from "./watch.ts";

export interface WarmRequestServices extends PullServices {
  config: Config;
  gate: Gate;
  recalls: Recalls;
}

const PLATFORM = /^[a-z0-9]+\/[a-z0-9_-]+(\/[a-z0-9.]+)?$/;

export const WarmRequest = v.strictObject({
  /** As in docker pull: `docker.io/library/alpine:3`. */
  image: v.pipe(v.string(), v.minLength(1), v.maxLength(400), v.regex(/^[\w.:/@-]+$/)),
  /** All if empty. */
  platforms: v.optional(v.pipe(v.array(v.pipe(v.string(), v.regex(PLATFORM))), v.maxLength(20)), []),
  /** Of the response before. */
  cursor: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
});

export interface WarmResponse extends Omit<Warmed, "calls"> {
  /** Upstream and repository. */
  repository: string;
}

/**
 * Fetches what one request may of an image, as a pull of it would: what the gate and recalls deny stays denied.
 * @param request as parsed from JSON.
 * @throws RegistryError
 */
export async function warmImage(
  services: WarmRequestServices,
  request: unknown,
  waitUntil: WaitUntil,
): Promise<WarmResponse> {
  const parsed = v.safeParse(WarmRequest, request);
  if (!parsed.success) {
    const message = "the body has an image, and may have platforms such as linux/amd64 and a cursor";
    throw new RegistryError(400, "UNSUPPORTED", message);
  }
  const { image, platforms, cursor } = parsed.output;
  const { config, gate, recalls } = services;
  const target = targetOf(image, config);
  const { upstream, repository, resource } = target;
  const name = `${upstream.name}/${repository}`;
  const caller = ownerOf(config);
  gate.admit(caller, name);
  const identity = await identityFor(services, caller, target, OWNER, waitUntil);
  const access = accessOf({ upstream: upstream.name, repository, via: "" }, identity);
  await recalls.refresh();
  const digest =
    "digest" in resource.reference
      ? resource.reference.digest
      : await resolve(services, access, resource.reference.tag, target.day);
  recalls.refuse(digest);
  const isRefused = recalls.isRecalled.bind(recalls);
  const { calls: _, ...warmed } = await warm(services, access, digest, { platforms, cursor, isRefused });
  return { repository: name, ...warmed };
}

/** The digest that a pull of the tag would get, as upstream confirms it within TAG_TTL. @throws RegistryError */
async function resolve(
  services: WarmRequestServices,
  access: RepositoryAccess,
  tag: string,
  day: string | null,
): Promise<Digest> {
  const resolution = await services.resolverOf(access).resolve(access, tag, "GET", day);
  if (!resolution.ok) throw clientError(resolution.failure, "manifest", OWNER);
  return resolution.record.digest;
}

type ManifestTarget = Target & { resource: Extract<Resource, { kind: "manifest" }> };

/** @throws RegistryError for what no registry can have, unknown upstreams, and hosted repositories. */
function targetOf(image: string, config: Config): ManifestTarget {
  const [, repository = "", tag = "latest", digest] = /^(.+?)(?::([^:/@]+))?(?:@(.+))?$/.exec(image) ?? [];
  const routed = route(new URL(`https://mirror.invalid/v2/${repository}/manifests/${digest ?? tag}`), config);
  if (routed.kind === "target" && routed.target.resource.kind === "manifest") {
    return routed.target as ManifestTarget;
  }
  throw new RegistryError(400, "NAME_INVALID", "only images of mirrored registries can be fetched ahead");
}
