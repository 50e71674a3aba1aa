/** The way of a registry request: from who sends it, to what it asks for, to the pull that answers. */
import type { Context } from "hono";
import { readAuthorization } from "./access/credentials.ts";
import type { Caller, Visit } from "./access/gate.ts";
import { answerWithToken } from "./access/token-endpoint.ts";
import { takeKey } from "./access/url.ts";
import { RegistryError } from "./errors.ts";
import { essence, isManifestType } from "./oci/mediatypes.ts";
import type { Pull } from "./pull/answer.ts";
import { authorityFor } from "./pull/authority.ts";
import { backgroundOf } from "./pull/background.ts";
import { pullBlob } from "./pull/blob.ts";
import { deleteListings } from "./pull/listing.ts";
import { checkLogin, loginChallenge, relayToken } from "./pull/login.ts";
import { pullManifestByDigest, pullManifestByTag } from "./pull/manifest.ts";
import type { Mirror } from "./pull/mirror.ts";
import { pullReferrers } from "./pull/referrers.ts";
import type { Asker } from "./pull/refusal.ts";
import { pullTags } from "./pull/tag-list.ts";
import { LOGGED_UPSTREAM } from "./requestlog.ts";
import { route, type Target, upstreamOfHost } from "./routing/target.ts";
import type { Upstream } from "./upstream/registries.ts";

/** Who sends the request, what it asks for once its key is taken out of the URL, and whose logins its host passes on. */
function visitOf({ config }: Mirror, c: Context) {
  const sent = new URL(c.req.url);
  const { url, key, prefix } =
    config.access === "keys" ? takeKey(sent, config.domain) : { url: sent, key: null, prefix: "" };
  const upstream = upstreamOfHost(url.hostname, config);
  // Behind keys, what a client sends is its key, unless that stands in the host already.
  const mayPass = config.access === "open" || (key !== null && prefix === "");
  const loginUpstream = upstream?.login && mayPass ? upstream : null;
  const passesLogins = loginUpstream !== null;
  const visit: Visit = { url: sent, host: url.host, headers: c.req.raw.headers, key, passesLogins };
  return { visit, url, prefix, loginUpstream };
}

/** Answers a token request: with a token of this mirror's, or on a host that passes logins through with upstream's. */
export async function answerToken(mirror: Mirror, c: Context): Promise<Response> {
  const { visit, loginUpstream } = visitOf(mirror, c);
  if (loginUpstream) {
    if (visit.key !== null) await mirror.gate.identify(visit);
    return relayToken(mirror, loginUpstream, c.req.raw);
  }
  if (mirror.config.access === "open") throw nothingHere();
  return answerWithToken(mirror.gate, c.req.raw, visit.host);
}

/**
 * Answers a request of the distribution specification: who asks, for what, and whether they may, before anything is pulled.
 * @throws RegistryError
 */
export async function answerRegistry(mirror: Mirror, c: Context): Promise<Response> {
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
  const { visit, url, prefix, loginUpstream } = visitOf(mirror, c);
  // Before it is challenged, too: dockerd would answer with its user's Docker Hub password, and no key would be right.
  await mirror.gate.rejectKeysIn(url.pathname + url.search);
  // Before anything is said of what there is: the challenge is the same for all of it.
  const caller = await mirror.gate.identify(visit);
  if (caller.key) mirror.limits.countKey(caller.key);
  const routed = route(url, mirror.config);
  if (routed.kind === "elsewhere") throw nothingHere();
  const asker: Asker = {
    userAgent: c.req.header("User-Agent") ?? "",
    via: c.req.header("Via") ?? "",
    hasNamespace: url.searchParams.has("ns"),
  };
  if (loginUpstream) {
    const challenge = await loginChallenge(mirror, loginUpstream, visit);
    if (routed.kind === "ping") {
      await limited(mirror, loginUpstream, caller, () =>
        checkLogin(mirror, loginUpstream, caller.login, challenge, asker),
      );
    }
    if (challenge !== null) asker.challenge = challenge;
  }
  if (routed.kind === "ping") return pong();
  const { target } = routed;
  c.set(LOGGED_UPSTREAM, target.upstream.name);
  mirror.gate.admit(caller, `${target.upstream.name}/${target.repository}`);

  const background = backgroundOf(c.executionCtx);
  const authority = await limited(mirror, target.upstream, caller, () =>
    authorityFor(mirror, caller, target, asker, background),
  );
  const { headers, signal } = c.req.raw;
  const pull: Pull = {
    method,
    headers,
    signal,
    search: url.searchParams,
    asker,
    authority,
    prefix,
    background,
  };
  const response = await answer(mirror, pull, target).catch((error) => {
    const isDenied = error instanceof RegistryError && (error.status === 401 || error.status === 403);
    if (isDenied && authority.kind === "anonymous") background(deleteListings(mirror, target));
    throw error;
  });
  neutralize(response);
  const isEverybodys = caller.key === null && authority.kind === "anonymous";
  if (!isEverybodys) keepPrivate(response);
  return response;
}

/** Does what passes the caller's password on to upstream, if they have shown one. */
function limited<Result>(
  { limits }: Mirror,
  upstream: Upstream,
  { login }: Caller,
  relay: () => Promise<Result>,
): Promise<Result> {
  const shown = readAuthorization(login);
  return shown?.scheme === "basic" ? limits.relayLogin(upstream.name, shown.username, relay) : relay();
}

/** An open mirror never challenges: dockerd would send its user's Docker Hub password to the challenge's realm. */
function pong(): Response {
  return Response.json({}, { headers: { "Docker-Distribution-API-Version": "registry/2.0" } });
}

function answer(mirror: Mirror, pull: Pull, target: Target): Promise<Response> {
  const { ask } = target;
  switch (ask.kind) {
    case "manifest":
      return "digest" in ask.reference
        ? pullManifestByDigest(mirror, pull, target, ask.reference.digest)
        : pullManifestByTag(mirror, pull, target, ask.reference.tag);
    case "blob":
      return pullBlob(mirror, pull, target, ask.digest);
    case "tags":
      return pullTags(mirror, pull, target);
    case "referrers":
      return pullReferrers(mirror, pull, target, ask.digest);
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
