/** An image that the owner names, as a pull of it would find it. */
import type { Gate } from "../access/gate.ts";
import type { Config } from "../config.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { clientError } from "../pull/client-error.ts";
import { identityFor } from "../pull/identity.ts";
import { accessOf, type RepositoryAccess } from "../pull/repository-access.ts";
import type { ResolveMode } from "../pull/resolver.ts";
import type { PullServices } from "../pull/services.ts";
import type { Resource, Target } from "../pull/target.ts";
import { OWNER } from "../pull/warm.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { route } from "../route.ts";
import { ownerOf } from "./watch.ts";

export interface ImageServices extends PullServices {
  config: Config;
  gate: Gate;
}

export interface FoundImage {
  /** Upstream and repository. */
  repository: string;
  digest: Digest;
  access: RepositoryAccess;
}

/**
 * The digest that a pull would get, as upstream confirms it within TAG_TTL.
 * @param image `[upstream/]repository[:tag][@digest]`
 * @throws RegistryError for what can't be pulled.
 */
export async function findImage(
  services: ImageServices,
  image: string,
  mode: ResolveMode,
  waitUntil: WaitUntil,
): Promise<FoundImage> {
  const { config, gate } = services;
  const target = targetOf(image, config);
  const { upstream, repository, resource } = target;
  const name = `${upstream.name}/${repository}`;
  const caller = ownerOf(config);
  gate.admit(caller, name);
  const identity = await identityFor(services, caller, target, OWNER, waitUntil);
  const access = accessOf({ upstream: upstream.name, repository, via: "" }, identity);
  const { reference } = resource;
  if ("digest" in reference) return { repository: name, digest: reference.digest, access };
  const resolution = await services.resolverOf(access).resolve(access, reference.tag, mode, target.day);
  if (!resolution.ok) throw clientError(resolution.failure, "manifest", OWNER);
  return { repository: name, digest: resolution.record.digest, access };
}

type ManifestTarget = Target & { resource: Extract<Resource, { kind: "manifest" }> };

/** @throws RegistryError for what no registry can have, unknown upstreams, and hosted repositories. */
function targetOf(image: string, config: Config): ManifestTarget {
  const isImage = image.length <= 400 && /^[\w.:/@-]+$/.test(image);
  const [, repository = "", tag = "latest", digest] = /^(.+?)(?::([^:/@]+))?(?:@(.+))?$/.exec(image) ?? [];
  const path = `/v2/${repository}/manifests/${digest ?? tag}`;
  const routed = isImage ? route(new URL(`https://mirror.invalid${path}`), config) : null;
  if (routed?.kind === "target" && routed.target.resource.kind === "manifest") {
    return routed.target as ManifestTarget;
  }
  throw new RegistryError(400, "NAME_INVALID", "name an image of a mirrored registry, as in docker pull");
}
