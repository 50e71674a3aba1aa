/** Every route, and the order in which a request passes what stands in its way. */
import { type Context, Hono } from "hono";
import { secureHeaders } from "hono/secure-headers";
import { checkBounds } from "./access/bounds.ts";
import { type Caller, challengeOf, TOKEN_PATH, unauthorized, type Visit } from "./access/gate.ts";
import { answerWithToken } from "./access/token-endpoint.ts";
import { takeKey } from "./access/url.ts";
import { errorResponse, RegistryError } from "./errors.ts";
import type { Pull } from "./pull/answer.ts";
import { authorityFor } from "./pull/authority.ts";
import { pullBlob } from "./pull/blob.ts";
import { pullReferrers, pullTags } from "./pull/listing.ts";
import { pullManifestByDigest, pullManifestByTag } from "./pull/manifest.ts";
import type { Mirror } from "./pull/mirror.ts";
import type { Asker } from "./pull/refusal.ts";
import { logged } from "./requestlog.ts";
import { route, type Target, upstreamOfHost } from "./routing/target.ts";

export function createApp(mirror: Mirror): Hono {
  const app = new Hono();
  app.use(logged);
  app.use(async (c, next) => {
    checkBounds(c.req.raw);
    await mirror.limits.countAddress(c.req.header("CF-Connecting-IP") ?? null);
    await next();
  });
  app.use("/", pages);
  app.use("/_/*", pages);
  app.get("/", (c) => c.text(welcome(mirror)));
  app.get("/robots.txt", (c) => c.text("User-agent: *\nDisallow: /\n"));
  app.get("/_/health", (c) => c.json({ status: "ok" }));
  app.all(TOKEN_PATH, (c) => token(mirror, c));
  app.all("*", (c) => registry(mirror, c));
  app.onError((error, c) => {
    if (error instanceof RegistryError) return errorResponse(error, c.req.method);
    // What went wrong is for the log; a stranger has no use for it.
    console.error(error);
    return errorResponse(
      new RegistryError(500, "UNAVAILABLE", "the mirror failed; its log says why"),
      c.req.method,
    );
  });
  return app;
}

/** A private service: nothing of it is to be found by a search engine, framed, or made to load anything from elsewhere. */
const secured = secureHeaders({
  contentSecurityPolicy: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
  strictTransportSecurity: false,
});
async function pages(c: Context, next: () => Promise<void>): Promise<void> {
  await secured(c, next);
  c.res.headers.set("X-Robots-Tag", "noindex");
}

/** Who sends the request, and what it asks for once its key is taken out of the URL. */
function visitOf({ config }: Mirror, c: Context) {
  const sent = new URL(c.req.url);
  const { url, key, prefix } =
    config.access === "keys" ? takeKey(sent, config.domain) : { url: sent, key: null, prefix: "" };
  const loginUpstream = upstreamOfHost(url.hostname, config);
  const passesLogins = loginUpstream?.login === true && (config.access === "open" || key !== null);
  const visit: Visit = { url: sent, headers: c.req.raw.headers, key, passesLogins };
  return { visit, url, prefix };
}

async function token(mirror: Mirror, c: Context): Promise<Response> {
  if (mirror.config.access === "open") throw new RegistryError(404, "UNSUPPORTED", "there is nothing here");
  return answerWithToken(mirror.gate, c.req.raw);
}

async function registry(mirror: Mirror, c: Context): Promise<Response> {
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
  if (c.req.header("Via")?.includes(mirror.via)) {
    throw new RegistryError(508, "UNAVAILABLE", "an upstream leads back to this mirror");
  }
  const { visit, url, prefix } = visitOf(mirror, c);
  // Before anything is said of what there is: the challenge is the same for all of it.
  const caller = await mirror.gate.identify(visit);
  if (caller.key) mirror.limits.countKey(caller.key);
  const routed = route(url, mirror.config);
  if (routed.kind === "elsewhere") throw new RegistryError(404, "UNSUPPORTED", "there is nothing here");
  if (routed.kind === "ping") return pong(visit, caller);
  const { target } = routed;
  mirror.gate.admit(caller, target);

  const background = (work: Promise<unknown>) => c.executionCtx.waitUntil(work);
  const asker: Asker = {
    userAgent: c.req.header("User-Agent") ?? "",
    hasNamespace: url.searchParams.has("ns"),
    ...(visit.passesLogins ? { challenge: challengeOf(visit) } : {}),
  };
  const authority = await authorityFor(mirror, caller, target, asker, background);
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
  const response = await answer(mirror, pull, target);
  const isEverybodys = caller.key === null && authority.kind === "public";
  if (!isEverybodys) keepPrivate(response);
  return response;
}

/**
 * An open mirror never challenges: dockerd would send its user's Docker Hub password to the challenge's realm. A host that
 * passes logins through has to, or no client would send one.
 */
function pong(visit: Visit, caller: Caller): Response {
  if (visit.passesLogins && caller.login === null) throw unauthorized(visit);
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

/** What a key or a login was needed for, no cache on the way may give to anybody else (RFC 9111 §3.5). */
function keepPrivate({ headers }: Response): void {
  const directives = headers.get("Cache-Control")?.replace(/^public\b/, "private");
  if (directives) headers.set("Cache-Control", directives);
}

function welcome({ config }: Mirror): string {
  return `This is Portolan, a pull-through mirror for container registries.\n\nMirrored here: ${config.upstreamNames.join(", ")}\n`;
}
