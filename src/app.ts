/** Every route, and the order in which a request passes what stands in its way. */
import { type Context, Hono } from "hono";
import { clientAddress } from "./access/address.ts";
import { checkBounds, checkLoop } from "./access/bounds.ts";
import { checkHost, checkSite, protect } from "./access/browsers.ts";
import { CLOSED, TOKEN_PATH } from "./access/gate.ts";
import type { Config } from "./config.ts";
import { answerRegistry, answerToken } from "./handler.ts";
import { errorResponse, RegistryError } from "./oci/errors.ts";
import { logged } from "./request-log.ts";
import type { Services } from "./services.ts";
import { HEALTH_KEY } from "./store/store.ts";

export function createApp(services: Services): Hono {
  const app = new Hono();
  app.use(logged);
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
  app.get("/", (c) => c.text(welcome(services)));
  app.get("/robots.txt", (c) => c.text("User-agent: *\nDisallow: /\n"));
  app.get("/_/health", (c) => health(services, c));
  // Pages can be followed a link to; below here, requests cost something.
  app.use(async (c, next) => {
    checkSite(c.req.raw.headers);
    await next();
  });
  app.all(TOKEN_PATH, (c) => answerToken(services, c));
  app.all("*", (c) => answerRegistry(services, c));
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

/** Whether pulls can be served and stored. What is wrong is for the log: anyone may ask. */
async function health({ store }: Services, c: Context): Promise<Response> {
  try {
    await store.head(HEALTH_KEY);
    return c.json({ status: "ok" });
  } catch (error) {
    console.warn(`the store can't be reached: ${error}`);
    return c.json({ status: "unavailable" }, 503);
  }
}

/** What is mirrored is for callers to know: behind keys, the operator's own registries may be named among it. */
function welcome({ config }: Services): string {
  return `This is Portolan, a pull-through mirror for container registries.\n\n${admission(config)}\n`;
}

function admission({ access, keys, upstreamNames }: Config): string {
  if (access === "open") return `Mirrored here: ${upstreamNames.join(", ")}`;
  return keys.length > 0 ? "It needs an access key." : CLOSED;
}
