/** How a registry request is handled: authenticated, routed, authorized, then served by the pull path. */
import type { Context } from "hono";
import { readAuthorization } from "./access/credentials.ts";
import type { Caller, Gate, RequestCredentials } from "./access/gate.ts";
import { answerWithToken } from "./access/token-endpoint.ts";
import { takeKey } from "./access/url.ts";
import type { Config } from "./config.ts";
import { handleHosted } from "./hosted-handler.ts";
import { neutralize } from "./oci/content-response.ts";
import type { Digest } from "./oci/digest.ts";
import { RegistryError } from "./oci/errors.ts";
import { pullBlob } from "./pull/blob.ts";
import type { ClientInfo } from "./pull/client-error.ts";
import { identityFor } from "./pull/identity.ts";
import { type LayerCache, layersBehind } from "./pull/layer-cache.ts";
import { deleteListings } from "./pull/listing.ts";
import { checkLogin, loginChallenge, passThroughToken } from "./pull/login.ts";
import { pullManifestByDigest, pullManifestByTag } from "./pull/manifest.ts";
import { pullReferrers } from "./pull/referrers.ts";
import { accessOf } from "./pull/repository-access.ts";
import type { PullRequest } from "./pull/request.ts";
import { pullTags } from "./pull/tag-list.ts";
import type { Resource, Target } from "./pull/target.ts";
import { waitUntilOf } from "./pull/wait-until.ts";
import { detailsOf, type RequestDetails } from "./request-log.ts";
import { type HostedRoute, hostedRoute, isHosted, route, upstreamOfHost } from "./route.ts";
import type { Services } from "./services.ts";
import type { Upstream } from "./upstream/registries.ts";
import { IDENTITY_HEADER } from "./upstream/relays.ts";

/** The request's credentials, its URL without an access key, and the upstream whose logins its host passes through. */
function requestCredentialsOf({ config }: Services, c: Context) {
  const sent = new URL(c.req.url);
  const { url, key, prefix } =
    config.access === "keys" ? takeKey(sent, config.domain) : { url: sent, key: null, prefix: "" };
  const upstream = upstreamOfHost(url.hostname, config);
  // Behind keys, a client's credential is its key, unless the key is in the host already.
  const mayPass = config.access === "open" || (key !== null && prefix === "");
  const loginUpstream = upstream?.login === true && mayPass ? upstream : null;
  const passesLogins = loginUpstream !== null;
  const requestCredentials: RequestCredentials = {
    url: sent,
    host: url.host,
    headers: c.req.raw.headers,
    key,
    passesLogins,
  };
  return { requestCredentials, url, prefix, loginUpstream };
}

/** Issues a token of this mirror's, or on a host that passes logins through fetches upstream's. */
export async function handleTokenRequest(services: Services, c: Context): Promise<Response> {
  const { requestCredentials, url, loginUpstream } = requestCredentialsOf(services, c);
  if (loginUpstream) {
    if (requestCredentials.key !== null) await services.gate.identify(requestCredentials);
    return passThroughToken(services, loginUpstream, c.req.raw);
  }
  if (services.config.access === "open") throw nothingHere();
  const isPublic = (name: string) =>
    publicPull("GET", new URL(`/v2/${name}/tags/list`, url), services.config, services.gate) !== null;
  return answerWithToken(services.gate, c.req.raw, requestCredentials.host, isPublic);
}

/**
 * Handles a request of the distribution specification. Nothing is looked up or pulled before the caller is known and admitted.
 * @throws RegistryError
 */
export async function handleRegistryRequest(services: Services, c: Context): Promise<Response> {
  const { method } = c.req;
  if (method === "GET" || method === "HEAD") return admitAndServe(services, c);
  try {
    return await admitAndServe(services, c);
  } catch (error) {
    // A refusal that leaves the body unread is lost, or makes clients hang.
    await drain(c.req.raw.body, DRAINED).catch(() => {});
    throw error;
  }
}

async function admitAndServe(services: Services, c: Context): Promise<Response> {
  const { config, gate } = services;
  const { requestCredentials, url, prefix, loginUpstream } = requestCredentialsOf(services, c);
  const { method } = c.req;
  checkPush(c, url, config);
  // Before any challenge: dockerd would send its user's Docker Hub password in response, and no key would be accepted.
  await gate.rejectKeysIn(url.pathname + url.search);
  const open = publicPull(method, url, config, gate);
  // Before any other routing: the challenge must not depend on what exists here.
  const caller = await gate.identify(requestCredentials, open !== null);
  const details = detailsOf(c);
  details.key = caller.key?.name ?? null;
  if (caller.key) services.limits.countKey(caller.key);

  const routed = open ?? route(url, config);
  if (routed.kind === "elsewhere") throw nothingHere();
  if (routed.kind === "hosted" || routed.kind === "catalog") {
    if (url.searchParams.has("at")) throw withoutHistory();
    const response = await handleHosted(services, c, { caller, url, prefix, routed });
    if (caller.key !== null) markPrivate(response);
    return response;
  }
  const clientInfo = clientInfoOf(c, url);
  const challenge = loginUpstream && (await loginChallenge(services, loginUpstream, requestCredentials));
  if (routed.kind === "ping") {
    if (loginUpstream) {
      await limited(services, loginUpstream, caller, () =>
        checkLogin(services, loginUpstream, caller.login, challenge, clientInfo),
      );
    }
    return pong();
  }
  if (challenge !== null) clientInfo.challenge = challenge;
  const { target } = routed;
  Object.assign(details, described(target));
  gate.admit(caller, `${target.upstream.name}/${target.repository}`);
  return services.recalls.guard(digestsIn(target.resource), () =>
    pullFor(services, c, { caller, url, prefix, target, clientInfo }),
  );
}

/** @throws RegistryError for a push to anything but a hosted repository, or by a web page. */
function checkPush(c: Context, url: URL, config: Config): void {
  if (c.req.method === "GET" || c.req.method === "HEAD") return;
  if (!isHosted(url, config)) throw notPushable();
  // Browsers send Origin with every request that changes something.
  if (c.req.header("Origin") !== undefined) throw fromPage();
}

function clientInfoOf(c: Context, url: URL): ClientInfo {
  return {
    userAgent: c.req.header("User-Agent") ?? "",
    via: c.req.header("Via") ?? "",
    hasNamespace: url.searchParams.has("ns"),
    isForAnonymous: c.req.header(IDENTITY_HEADER) === "anonymous",
  };
}

/** An admitted request for mirrored content. */
interface AdmittedPull {
  caller: Caller;
  url: URL;
  prefix: string;
  target: Target;
  clientInfo: ClientInfo;
}

async function pullFor(services: Services, c: Context, admitted: AdmittedPull): Promise<Response> {
  const { caller, url, prefix, target, clientInfo } = admitted;
  const waitUntil = waitUntilOf(c.executionCtx);
  const identity = await limited(services, target.upstream, caller, () =>
    identityFor(services, caller, target, clientInfo, waitUntil),
  );
  const access = accessOf(
    { upstream: target.upstream.name, repository: target.repository, via: clientInfo.via },
    identity,
  );
  const { headers, signal } = c.req.raw;
  const pull: PullRequest = {
    method: c.req.method === "HEAD" ? "HEAD" : "GET",
    headers,
    signal,
    search: url.searchParams,
    clientInfo,
    target,
    access,
    prefix,
    waitUntil,
    layers: layersOf(services.config, c),
    details: detailsOf(c),
  };
  const response = await serve(services, pull).catch((error) => {
    const isDenied = error instanceof RegistryError && (error.status === 401 || error.status === 403);
    if (isDenied && identity.kind === "anonymous") waitUntil(deleteListings(services, target));
    throw error;
  });
  neutralize(response);
  const isPublic = caller.key === null && identity.kind === "anonymous";
  if (!isPublic) markPrivate(response);
  return response;
}

/** The entry point for layers is one of this Worker's own, which the context leads to. */
function layersOf({ layerCache }: Config, c: Context): LayerCache | undefined {
  if (!layerCache) return undefined;
  const { exports } = c.executionCtx as { exports?: { Layers?: Pick<Fetcher, "fetch"> } };
  return exports?.Layers && layersBehind(exports.Layers);
}

/**
 * The target of a request that needs no key: one that only reads a hosted repository which HOSTED_PUBLIC names. That is decided
 * by the name alone, so that a challenge says nothing about what exists. Null for any other request.
 */
function publicPull(method: string, url: URL, config: Config, gate: Gate): HostedRoute | null {
  if (method !== "GET" && method !== "HEAD") return null;
  const routed = hostedRoute(url, config);
  // The status of an upload is part of pushing.
  if (!routed || routed.target.resource.kind === "upload") return null;
  return gate.isPublic(`${config.hosted.path}/${routed.target.repository}`) ? routed : null;
}

/** Bytes of a refused request's body that are read. */
const DRAINED = 8 * 1024 * 1024;

async function drain(body: ReadableStream<Uint8Array> | null, bound: number): Promise<void> {
  if (!body || body.locked) return;
  let drained = 0;
  for await (const chunk of body) {
    drained += chunk.byteLength;
    if (drained > bound) return;
  }
}

function notPushable(): RegistryError {
  return new RegistryError(
    405,
    "UNSUPPORTED",
    "mirrored repositories can only be pulled from; hosted ones, hosted/NAME, take pushes",
    { Allow: "GET, HEAD" },
  );
}

function fromPage(): RegistryError {
  return new RegistryError(403, "DENIED", "web pages can't push to this registry");
}

/** Runs an upstream request that passes the caller's password on, within the limit of login attempts. */
function limited<Result>(
  { limits }: Services,
  upstream: Upstream,
  { login }: Caller,
  run: () => Promise<Result>,
): Promise<Result> {
  const sent = readAuthorization(login);
  return sent?.scheme === "basic" ? limits.passThroughLogin(upstream.name, sent.username, run) : run();
}

/** The response to a ping. An open mirror never challenges: dockerd would send its user's Docker Hub password to the challenge's realm. */
function pong(): Response {
  return Response.json({}, { headers: { "Docker-Distribution-API-Version": "registry/2.0" } });
}

function serve(services: Services, pull: PullRequest): Promise<Response> {
  const { resource } = pull.target;
  switch (resource.kind) {
    case "manifest":
      return "digest" in resource.reference
        ? pullManifestByDigest(services, pull, resource.reference.digest)
        : pullManifestByTag(services, pull, resource.reference.tag);
    case "blob":
      return pullBlob(services, pull, resource.digest);
    case "tags":
      return pullTags(services, pull);
    case "referrers":
      return pullReferrers(services, pull, resource.digest);
  }
}

/** The digest that a resource names, if it does. */
function digestsIn(resource: Resource): Digest[] {
  const name = resource.kind === "manifest" ? resource.reference : resource;
  return "digest" in name ? [name.digest] : [];
}

/** What the request log says of a target. */
function described({ upstream, repository, resource }: Target): Partial<RequestDetails> {
  const { kind } = resource;
  const name = kind === "manifest" ? resource.reference : resource;
  const reference = "tag" in name ? "tag" : "digest" in name ? "digest" : null;
  return { upstream: upstream.name, repository, resource: kind, reference };
}

function withoutHistory(): RegistryError {
  return new RegistryError(404, "MANIFEST_UNKNOWN", "no history is kept of hosted tags: leave out at");
}

function nothingHere(): RegistryError {
  return new RegistryError(404, "UNSUPPORTED", "there is nothing here");
}

/** Keeps a response that needed a key or a login out of shared caches (RFC 9111 §3.5). */
function markPrivate({ headers }: Response): void {
  const directives = headers.get("Cache-Control")?.replace(/^public\b/, "private");
  if (directives) headers.set("Cache-Control", directives);
}
