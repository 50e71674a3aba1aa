/** What the owner of the mirror may see and change, behind ADMIN_KEY. */
import { Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { requireAdmin } from "../access/admin.ts";
import { parseDigest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { waitUntilOf } from "../pull/wait-until.ts";
import type { Gateway } from "../push/forward.ts";
import type { Collected } from "../push/records.ts";
import type { UpstreamClient } from "../upstream/client.ts";
import { accountOf, detailsOfImage } from "./accounts.ts";
import type { HoldingsLedger } from "./cached.ts";
import { ATOM_TYPE, atomFeed, JSON_FEED_TYPE, jsonFeed } from "./feed.ts";
import { readForwarded, requireOwnHosted } from "./forwarded.ts";
import { type GoneServices, listGone } from "./gone.ts";
import { listObjects, listTags, readManifest, remove } from "./holdings.ts";
import { type HostedLedger, listHosted } from "./hosted.ts";
import { findImage } from "./image-request.ts";
import { keyRoutes } from "./key-routes.ts";
import type { ManagedKeys } from "./managed-keys.ts";
import { METRICS_TYPE, metricsText } from "./metrics.ts";
import openapi from "./openapi.json" with { type: "json" };
import { Parts } from "./parts.ts";
import type { Pins } from "./pins.ts";
import type { PullLedger } from "./pulls.ts";
import { FREE_PLAN, requireRoom, tightQuotas, type UsageLedger } from "./quotas.ts";
import type { Recalls } from "./recalls.ts";
import { recent } from "./recent.ts";
import { type ReleaseServices, release, undoRelease } from "./releases.ts";
import { pruneUnreferenced, removeImages } from "./removal.ts";
import { bodyOf, cursorOf, FeedQuery, ManifestQuery, queryOf, StatsQuery } from "./requests.ts";
import { summaryOf } from "./summary.ts";
import { historyOf } from "./tags.ts";
import type { TrafficLedger } from "./traffic.ts";
import { unavailable } from "./unavailable.ts";
import { type WarmRequestServices, warmImage } from "./warm-request.ts";

export interface AdminServices
  extends WarmRequestServices,
    Omit<ReleaseServices, "config">,
    Omit<GoneServices, "config" | "store"> {
  upstream: UpstreamClient;
  /** Hosted repositories, and garbage collection of their content. */
  hostedRecords: HostedLedger & { collect(isDryRun: boolean): Promise<Collected> };
  /** Null where hosted repositories are this mirror's own. */
  gateway: Pick<Gateway, "process"> | null;
  /** When this isolate started; milliseconds since the epoch. */
  started: number;
  /** Of the deployment, by which it is known in Via. */
  via: string;
  ledger: TrafficLedger & HoldingsLedger & PullLedger & UsageLedger;
  /** Whether the Free plan's daily quotas apply. */
  hasQuotas: boolean;
  recalls: Recalls;
  pins: Pins;
  managedKeys: ManagedKeys;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Milliseconds. */
const HOUR = 3_600_000;
/** Milliseconds for which a count serves metrics, since each reads all records. */
const COUNTED_FOR = 5 * 60_000;
const FEED = "/_/feed";

export function adminRoutes(services: AdminServices): Hono {
  const routes = new Hono();
  const countHosted = recent(COUNTED_FOR, services.now, () => services.hostedRecords.count());
  const owner = createMiddleware(async (c, next) => {
    await requireAdmin(c.req.raw.headers, services.config.adminKey);
    await next();
    c.res.headers.set("Cache-Control", "no-store");
  });
  routes.onError((error) => {
    throw unavailable(error) ?? error;
  });
  routes.get("/openapi.json", owner, (c) => c.json(openapi));
  routes.get("/status", owner, async (c) => c.json(await status(services)));
  routes.get("/stats", owner, async (c) => {
    const { hours } = queryOf(c, StatsQuery, "hours must be a whole number, 1 at least");
    const { ledger, now } = services;
    const parts = new Parts();
    const traffic = await parts.read("ledger", ledger.since(now() - hours * HOUR), null);
    return c.json({ missing: parts.missing, ...(traffic && summaryOf(traffic)) });
  });
  routes.get("/metrics", owner, async (c) => {
    const { config, upstream, ledger, gateway, now } = services;
    const parts = new Parts();
    const recorded = Promise.all([ledger.totals(), ledger.activity(), ledger.counted()]).then(
      ([traffic, activity, counted]) => ({ traffic, activity, counted }),
    );
    const measured = {
      recorded: await parts.read("ledger", recorded, null),
      hosted: gateway ? null : await parts.read("hosted", countHosted(), null),
      forwarded: gateway && (await parts.read("hosted", readForwarded(gateway.process), null)),
      now: now(),
      limit: config.cacheLimit,
      endpoints: upstream.endpoints(),
      deployment: deploymentOf(services),
    };
    return c.body(metricsText(measured), 200, { "Content-Type": METRICS_TYPE });
  });
  routes.get("/tags", owner, async (c) => c.json(await listTags(services, cursorOf(c))));
  routes.get("/tags/:name{.+}", owner, async (c) =>
    c.json({ entries: await historyOf(services, c.req.param("name")) }),
  );
  routes.get("/objects", owner, async (c) => c.json(await listObjects(services, cursorOf(c))));
  routes.get("/images", owner, async (c) => c.json(await accountOf(services)));
  routes.get("/images/:name{.+}", owner, async (c) =>
    c.json(await detailsOfImage(services, c.req.param("name"))),
  );
  routes.delete("/images/:name{.+}", owner, async (c) =>
    c.json(await removeImages(services, { images: [c.req.param("name")] })),
  );
  routes.post("/rm", owner, async (c) => c.json(await removeImages(services, await bodyOf(c))));
  routes.get("/prune", owner, async (c) => c.json(await pruneUnreferenced(services, true)));
  routes.post("/prune", owner, async (c) => c.json(await pruneUnreferenced(services, false)));
  routes.get("/manifests/:digest", owner, async (c) => {
    const { visibility } = queryOf(c, ManifestQuery, "visibility must be public or private");
    const body = await readManifest(services, c.req.param("digest"), visibility);
    return c.body(body, 200, { "Content-Type": "application/octet-stream" });
  });
  routes.post("/purge", owner, async (c) => {
    await remove(services, await bodyOf(c));
    return c.body(null, 204);
  });
  routes.post("/warm", owner, async (c) => {
    await requireRoom(services);
    return c.json(await warmImage(services, await bodyOf(c), waitUntilOf(c.executionCtx)));
  });
  routes.get("/resolve/:image{.+}", owner, async (c) => {
    const waitUntil = waitUntilOf(c.executionCtx);
    const { repository, digest } = await findImage(services, c.req.param("image"), "HEAD", waitUntil);
    return c.json({ repository, digest });
  });
  routes.get("/pulls/:digest", owner, async (c) => {
    const digest = parseDigest(c.req.param("digest"));
    if (!digest) throw new RegistryError(400, "DIGEST_INVALID", "the path ends with a digest");
    return c.json({ digest, ...(await services.ledger.traceOf(digest)) });
  });
  routes.get("/recalled", owner, async (c) => c.json({ entries: await services.recalls.list() }));
  routes.post("/recalled", owner, async (c) => {
    await services.recalls.recall(services, await bodyOf(c));
    return c.body(null, 204);
  });
  routes.delete("/recalled/:digest", owner, async (c) => {
    await services.recalls.undo(c.req.param("digest"));
    return c.body(null, 204);
  });
  routes.get("/feed", owner, async (c) => {
    const [moves, url] = [await services.tagHistory().moves(), new URL(c.req.url).origin + FEED];
    const byAccept = c.req.header("Accept")?.includes("application/feed+json") ? "json" : "atom";
    const { format = byAccept } = queryOf(c, FeedQuery, "format must be atom or json");
    return format === "json"
      ? c.body(JSON.stringify(jsonFeed(moves, url)), 200, { "Content-Type": JSON_FEED_TYPE })
      : c.body(await atomFeed(moves, url, services.now()), 200, { "Content-Type": ATOM_TYPE });
  });
  routes.get("/gone", owner, async (c) => c.json(await listGone(services, cursorOf(c))));
  routes.get("/released", owner, async (c) => c.json({ entries: await services.tagHistory().releases() }));
  routes.post("/released", owner, async (c) => c.json({ entries: await release(services, await bodyOf(c)) }));
  routes.delete("/released/:image{.+}", owner, async (c) => {
    await undoRelease(services, c.req.param("image"));
    return c.body(null, 204);
  });
  routes.get("/pins", owner, async (c) => c.json({ entries: await services.pins.list() }));
  routes.post("/pins", owner, async (c) => {
    await services.pins.pin(await bodyOf(c));
    return c.body(null, 204);
  });
  routes.delete("/pins/:pattern{.+}", owner, async (c) => {
    await services.pins.unpin(c.req.param("pattern"));
    return c.body(null, 204);
  });
  routes.use("/keys/*", owner);
  routes.route(
    "/keys",
    keyRoutes(() => services.managedKeys),
  );
  const ownHosted = createMiddleware(async (_, next) => {
    await requireOwnHosted(services.gateway);
    await next();
  });
  routes.get("/hosted", owner, ownHosted, async (c) => c.json(await listHosted(services, cursorOf(c))));
  routes.get("/gc", owner, ownHosted, async (c) => c.json(await services.hostedRecords.collect(true)));
  routes.post("/gc", owner, ownHosted, async (c) => c.json(await services.hostedRecords.collect(false)));
  return routes;
}

function deploymentOf({ via }: AdminServices): string {
  return via.replace(/^1\.1 portolan-/, "");
}

async function status(services: AdminServices) {
  const { config, upstream, started, managedKeys, hasQuotas, ledger, gateway, now } = services;
  const parts = new Parts();
  const [usage, keys, hosted, forwarded] = await Promise.all([
    parts.read("ledger", ledger.usage(now()), null),
    parts.read("keys", managedKeys.list(), null),
    gateway ? null : parts.read("hosted", services.hostedRecords.count(), null),
    gateway && parts.read("hosted", readForwarded(gateway.process), null),
  ]);
  return {
    missing: parts.missing,
    quotas: hasQuotas && usage ? { used: usage, free: FREE_PLAN, tight: tightQuotas(usage) } : null,
    deployment: deploymentOf(services),
    started: new Date(started).toISOString(),
    access: config.access,
    keys: keys?.length ?? null,
    limit: config.cacheLimit,
    hosted,
    forwarded,
    upstreams: config.upstreamNames,
    relays: config.relays.map(({ url, upstreams, when }) => ({ url: url.origin, upstreams, when })),
    endpoints: upstream.endpoints(),
  };
}
