/** The way of a registry request: from who sends it, to what it asks for, to the pull that answers. */
import type { Context } from "hono";
import { readAuthorization } from "./access/credentials.ts";
import type { Caller, RequestCredentials } from "./access/gate.ts";
import { answerWithToken } from "./access/token-endpoint.ts";
import { takeKey } from "./access/url.ts";
import { RegistryError } from "./oci/errors.ts";
import { essence, isManifestType } from "./oci/mediatypes.ts";
import { pullBlob } from "./pull/blob.ts";
import type { ClientInfo } from "./pull/client-error.ts";
import { identityFor } from "./pull/identity.ts";
import { deleteListings } from "./pull/listing.ts";
import { checkLogin, loginChallenge, passThroughToken } from "./pull/login.ts";
import { pullManifestByDigest, pullManifestByTag } from "./pull/manifest.ts";
import { pullReferrers } from "./pull/referrers.ts";
import { accessOf } from "./pull/repository-access.ts";
import type { PullRequest } from "./pull/request.ts";
import { pullTags } from "./pull/tag-list.ts";
import { waitUntilOf } from "./pull/wait-until.ts";
import { LOGGED_UPSTREAM } from "./request-log.ts";
import { route, upstreamOfHost } from "./route.ts";
import type { Services } from "./services.ts";
import type { Upstream } from "./upstream/registries.ts";

/** Who sends the request, what it asks for once its key is taken out of the URL, and whose logins its host passes on. */
function requestCredentialsOf({ config }: Services, c: Context) {
  const sent = new URL(c.req.url);
  const { url, key, prefix } =
    config.access === "keys" ? takeKey(sent, config.domain) : { url: sent, key: null, prefix: "" };
  const upstream = upstreamOfHost(url.hostname, config);
  // Behind keys, what a client sends is its key, unless that stands in the host already.
  const mayPass = config.access === "open" || (key !== null && prefix === "");
  const loginUpstream = upstream?.login && mayPass ? upstream : null;
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

/** Answers a token request: with a token of this mirror's, or on a host that passes logins through with upstream's. */
export async function answerToken(services: Services, c: Context): Promise<Response> {
  const { requestCredentials, loginUpstream } = requestCredentialsOf(services, c);
  if (loginUpstream) {
    if (requestCredentials.key !== null) await services.gate.identify(requestCredentials);
    return passThroughToken(services, loginUpstream, c.req.raw);
  }
  if (services.config.access === "open") throw nothingHere();
  return answerWithToken(services.gate, c.req.raw, requestCredentials.host);
}

/**
 * Answers a request of the distribution specification: who asks, for what, and whether they may, before anything is pulled.
 * @throws RegistryError
 */
export async function answerRegistry(services: Services, c: Context): Promise<Response> {
  const { method } = c.req;
  if (method !== "GET" && method !== "HEAD") {
    const headers = { Allow: "GET, HEAD" };
    throw new RegistryError(
      405,
      "UNSUPPORTED",
      "this is a mirror: it can be pulled from, not pushed to",
      headers,
    );
  }
  const { requestCredentials, url, prefix, loginUpstream } = requestCredentialsOf(services, c);
  // Before it is challenged, too: dockerd would answer with its user's Docker Hub password, and no key would be right.
  await services.gate.rejectKeysIn(url.pathname + url.search);
  // Before anything is said of what there is: the challenge is the same for all of it.
  const caller = await services.gate.identify(requestCredentials);
  if (caller.key) services.limits.countKey(caller.key);
  const routed = route(url, services.config);
  if (routed.kind === "elsewhere") throw nothingHere();
  const clientInfo: ClientInfo = {
    userAgent: c.req.header("User-Agent") ?? "",
    via: c.req.header("Via") ?? "",
    hasNamespace: url.searchParams.has("ns"),
  };
  if (loginUpstream) {
    const challenge = await loginChallenge(services, loginUpstream, requestCredentials);
    if (routed.kind === "ping") {
      await limited(services, loginUpstream, caller, () =>
        checkLogin(services, loginUpstream, caller.login, challenge, clientInfo),
      );
    }
    if (challenge !== null) clientInfo.challenge = challenge;
  }
  if (routed.kind === "ping") return pong();
  const { target } = routed;
  c.set(LOGGED_UPSTREAM, target.upstream.name);
  services.gate.admit(caller, `${target.upstream.name}/${target.repository}`);

  const waitUntil = waitUntilOf(c.executionCtx);
  const identity = await limited(services, target.upstream, caller, () =>
    identityFor(services, caller, target, clientInfo, waitUntil),
  );
  const { headers, signal } = c.req.raw;
  const access = accessOf(
    { upstream: target.upstream.name, repository: target.repository, via: clientInfo.via },
    identity,
  );
  const search = url.searchParams;
  const pull: PullRequest = {
    method,
    headers,
    signal,
    search,
    clientInfo,
    target,
    access,
    prefix,
    waitUntil,
  };
  const response = await answer(services, pull).catch((error) => {
    const isDenied = error instanceof RegistryError && (error.status === 401 || error.status === 403);
    if (isDenied && identity.kind === "anonymous") waitUntil(deleteListings(services, target));
    throw error;
  });
  neutralize(response);
  const isEverybodys = caller.key === null && identity.kind === "anonymous";
  if (!isEverybodys) keepPrivate(response);
  return response;
}

/** Does what passes the caller's password on to upstream, if they have shown one. */
function limited<Result>(
  { limits }: Services,
  upstream: Upstream,
  { login }: Caller,
  relay: () => Promise<Result>,
): Promise<Result> {
  const shown = readAuthorization(login);
  return shown?.scheme === "basic" ? limits.passThroughLogin(upstream.name, shown.username, relay) : relay();
}

/** An open mirror never challenges: dockerd would send its user's Docker Hub password to the challenge's realm. */
function pong(): Response {
  return Response.json({}, { headers: { "Docker-Distribution-API-Version": "registry/2.0" } });
}

function answer(services: Services, pull: PullRequest): Promise<Response> {
  const { ask } = pull.target;
  switch (ask.kind) {
    case "manifest":
      return "digest" in ask.reference
        ? pullManifestByDigest(services, pull, ask.reference.digest)
        : pullManifestByTag(services, pull, ask.reference.tag);
    case "blob":
      return pullBlob(services, pull, ask.digest);
    case "tags":
      return pullTags(services, pull);
    case "referrers":
      return pullReferrers(services, pull, ask.digest);
  }
}

function nothingHere(): RegistryError {
  return new RegistryError(404, "UNSUPPORTED", "there is nothing here");
}

/** Types of responses that are no manifests. */
const OTHER_TYPES = ["", "application/json", "application/octet-stream", "multipart/byteranges"];

/** Leaves only types that registries have: what a manifest says of itself is its publisher's to choose. */
function neutralize({ headers }: Response): void {
  const type = essence(headers.get("Content-Type"));
  if (isManifestType(type) || OTHER_TYPES.includes(type)) return;
  headers.set("Content-Type", "application/octet-stream");
}

/** What a key or a login was needed for, no cache on the way may give to anybody else (RFC 9111 §3.5). */
function keepPrivate({ headers }: Response): void {
  const directives = headers.get("Cache-Control")?.replace(/^public\b/, "private");
  if (directives) headers.set("Cache-Control", directives);
}
