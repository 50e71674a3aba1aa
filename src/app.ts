/** Every route, and the order of the middleware. */
import { type Context, Hono } from "hono";
import { clientAddress } from "./access/address.ts";
import { checkBounds, checkLoop } from "./access/bounds.ts";
import { checkHost, checkSite, protect } from "./access/browsers.ts";
import { TOKEN_PATH } from "./access/gate.ts";
import { writeAnalytics } from "./analytics.ts";
import { handleRegistryRequest, handleTokenRequest } from "./handler.ts";
import { detailsOfImage } from "./ledger/accounts.ts";
import { adminRoutes } from "./ledger/routes.ts";
import { errorResponse, RegistryError } from "./oci/errors.ts";
import { publisherDigest } from "./pull/publisher.ts";
import { waitUntilOf } from "./pull/wait-until.ts";
import { requestLog } from "./request-log.ts";
import type { Services } from "./services.ts";
import { HEALTH_KEY } from "./store/store.ts";
import { frontRoutes } from "./web/front.tsx";
import { type PageServices, pageRoutes } from "./web/pages.tsx";

export function createApp(services: Services): Hono {
  const app = new Hono();
  app.use(
    requestLog(services.gatherLog, (record, waitUntil) => {
      services.traffic?.note(record, waitUntil);
      if (services.analytics) writeAnalytics(services.analytics, record);
    }),
  );
  app.use(async (c, next) => {
    await next();
    protect(c.res.headers);
  });
  app.use(async (c, next) => {
    checkBounds(c.req.raw);
    checkHost(c.req.url, services.config);
    checkLoop(c.req.raw, services.via);
    await services.limits.countAddress(clientAddress(c.req.raw));
    await next();
  });
  app.route("/", frontRoutes(services));
  app.get("/_/health", (c) => health(services, c));
  // Links on other sites may lead to the pages above; the routes below cost upstream requests.
  app.use(async (c, next) => {
    checkSite(c.req.raw.headers);
    await next();
  });
  app.route("/_/", adminRoutes(services));
  app.route("/", pageRoutes(pageServices(services, app)));
  app.all(TOKEN_PATH, (c) => handleTokenRequest(services, c));
  app.all("*", (c) => handleRegistryRequest(services, c));
  app.onError((error, c) => {
    if (error instanceof RegistryError) return errorResponse(error, c.req.method);
    // Internal errors are logged, not sent to clients.
    console.error(error);
    return errorResponse(
      new RegistryError(500, "UNAVAILABLE", "the mirror failed; its log says why"),
      c.req.method,
    );
  });
  return app;
}

/** What the pages need: an image is read by the same requests as a client's, with the same rules. */
function pageServices(services: Services, app: Hono): PageServices {
  const { config, gate, limits, store, storeReads, search, now, tagHistory } = services;
  return {
    ...{ config, gate, limits, store, storeReads, search, now, tagHistory },
    owner: services,
    registry: async (request, c) => app.fetch(request, c.env, c.executionCtx),
    spaceOf: async (name) => (await detailsOfImage(services, name)).entries[0] ?? null,
    publisherDigest: (name, tag, c) => publisherDigest(services, name, tag, waitUntilOf(c.executionCtx)),
  };
}

/** Whether pulls can be served and stored. The reason for a failure is logged only: the endpoint is open to all. */
async function health({ store }: Services, c: Context): Promise<Response> {
  try {
    await store.head(HEALTH_KEY);
    return c.json({ status: "ok" });
  } catch (error) {
    console.warn(`the store can't be reached: ${error}`);
    return c.json({ status: "unavailable" }, 503);
  }
}
