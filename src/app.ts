/** Every route, and the order in which a request passes what stands in its way. */
import { type Context, Hono } from "hono";
import { errorResponse, RegistryError } from "./errors.ts";
import type { Pull } from "./pull/answer.ts";
import { pullBlob } from "./pull/blob.ts";
import { pullReferrers, pullTags } from "./pull/listing.ts";
import { pullManifestByDigest, pullManifestByTag } from "./pull/manifest.ts";
import type { Mirror } from "./pull/mirror.ts";
import { logged } from "./requestlog.ts";
import { route, type Target } from "./routing/target.ts";

export function createApp(mirror: Mirror): Hono {
  const app = new Hono();
  app.use(logged);
  app.get("/", (c) => c.text(welcome(mirror)));
  app.get("/_/health", (c) => c.json({ status: "ok" }));
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
  const url = new URL(c.req.url);
  const routed = route(url, mirror.config);
  if (routed.kind === "elsewhere") throw new RegistryError(404, "UNSUPPORTED", "there is nothing here");
  // An open mirror never challenges: dockerd would send its user's Docker Hub password to the challenge's realm.
  if (routed.kind === "ping")
    return c.json({}, { headers: { "Docker-Distribution-API-Version": "registry/2.0" } });

  const pull: Pull = {
    method,
    headers: c.req.raw.headers,
    signal: c.req.raw.signal,
    search: url.searchParams,
    asker: { userAgent: c.req.header("User-Agent") ?? "", hasNamespace: url.searchParams.has("ns") },
    background: (work) => c.executionCtx.waitUntil(work),
  };
  return answer(mirror, pull, routed.target);
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

function welcome({ config }: Mirror): string {
  return `This is Portolan, a pull-through mirror for container registries.\n\nMirrored here: ${config.upstreamNames.join(", ")}\n`;
}
