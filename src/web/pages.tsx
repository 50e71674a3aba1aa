/** The pages that cost requests or show what isn't everyone's: images, and signing in. */
import { type Context, Hono } from "hono";
import { clientAddress } from "../access/address.ts";
import { checkOrigin } from "../access/browsers.ts";
import type { Gate } from "../access/gate.ts";
import type { Limits } from "../access/limits.ts";
import { RegistryError } from "../oci/errors.ts";
import { addressed, type ImageServices, imagePage } from "./image/page.tsx";
import { accepted, type Pull } from "./image/read.ts";
import { ownerRoutes } from "./owner/routes.tsx";
import type { OwnerServices } from "./owner/section.ts";
import { pageKit } from "./page-kit.tsx";
import { extractImages } from "./references/extract.ts";
import { formatReference } from "./references/reference.ts";
import { saveRoutes } from "./save/routes.ts";
import type { HubSearch } from "./search/hub-search.ts";
import { searchRoutes } from "./search/routes.tsx";
import {
  authorizationOf,
  INTERNAL_HOST,
  isOwner,
  keyOf,
  type SessionServices,
  signIn,
  signOut,
} from "./session.ts";
import { ownPath, SignIn, signInPath } from "./session-page.tsx";
import { detectLanguage, visitOf } from "./site.ts";

export interface PageServices
  extends Omit<ImageServices, "config">,
    Omit<SessionServices, "config" | "gate"> {
  config: ImageServices["config"];
  gate: SessionServices["gate"] & Pick<Gate, "rejectKeysIn">;
  limits: Pick<Limits, "signIn">;
  search: HubSearch;
  owner: OwnerServices;
  /** Handles a request of the distribution specification, as one that came from outside. */
  registry: (request: Request, c: Context) => Promise<Response>;
}

/** Bytes of the largest form. The owner's may have several lists of patterns. */
const LARGEST_FORM = 4096;
const LARGEST_OWNERS_FORM = 32 * 1024;

export function pageRoutes(services: PageServices): Hono {
  const { config } = services;
  const routes = new Hono();
  const kit = pageKit(config);
  const { page, respond } = kit;

  routes.get("/_/image", detectLanguage, page, (c) => {
    const { names } = visitOf(c, config);
    const found = extractImages(c.req.query("name") ?? "").images[0];
    const image = found && addressed(formatReference(found.reference), names, config);
    if (!image) throw new RegistryError(400, "NAME_INVALID", "this is no image's name");
    return c.redirect(image.path, 303);
  });

  routes.get("/_/image/*", detectLanguage, page, async (c) => {
    const visit = visitOf(c, config);
    const path = c.req.path.replaceAll(/%3a/gi, ":").replaceAll("%40", "@");
    const image = addressed(path.slice("/_/image/".length), visit.names, config);
    if (!image) throw new RegistryError(400, "NAME_INVALID", "this is no image's name");
    if (image.path !== path) return c.redirect(image.path, 303);
    const authorization = await authorizationOf(services, c);
    try {
      const pull = pullOf(services, c, authorization);
      const view = await imagePage(services, c, visit, pull, image, await isOwner(services, c));
      return await respond(c, visit, view, { title: `${image.name.path}:${image.name.reference}` });
    } catch (error) {
      const needsKey = error instanceof RegistryError && error.status === 401 && config.access === "keys";
      if (!needsKey || authorization !== null) throw error;
      return c.redirect(signInPath(visit.path), 303);
    }
  });

  routes.get("/_/session", detectLanguage, page, async (c) => {
    const visit = visitOf(c, config);
    const next = ownPath(c.req.query("next"));
    const problem = /^\/_\/(image|search)/.test(next) ? visit.texts.session.needed : null;
    const isSignedIn = (await keyOf(services, c)) !== null || (await isOwner(services, c));
    return respond(c, visit, <SignIn {...{ visit, next, problem, isSignedIn }} />, {
      title: visit.texts.session.heading,
    });
  });

  routes.post("/_/session", detectLanguage, page, async (c) => {
    const form = await formOf(c);
    const next = ownPath(form.get("next"));
    if (form.has("out")) {
      signOut(c);
      return c.redirect("/", 303);
    }
    try {
      await services.limits.signIn(clientAddress(c.req.raw), () =>
        signIn(services, c, (form.get("key") ?? "").trim()),
      );
    } catch (error) {
      if (!(error instanceof RegistryError) || ![401, 429].includes(error.status)) throw error;
      const visit = visitOf(c, config);
      const { session } = visit.texts;
      const problem = error.status === 429 ? session.tooMany : session.wrong;
      return respond(c, visit, <SignIn {...{ visit, next, problem }} isSignedIn={false} />, error);
    }
    return c.redirect(next, 303);
  });
  routes.route("/", searchRoutes({ search: services.search, admit: (c) => admit(services, c) }, kit));
  const forSaving = { ...services, pullOf: pullOf.bind(null, services) };
  routes.route("/", saveRoutes(forSaving, kit));
  routes.route(
    "/",
    ownerRoutes(services.owner, services, kit, (c) => formOf(c, LARGEST_OWNERS_FORM)),
  );
  return routes;
}

/**
 * Makes sure that a client, by what it sends, or else a page's visitor, may pull here. A client is challenged in the name by which
 * it knows the mirror: it sends its key to the host that a challenge names.
 * @throws RegistryError
 */
async function admit(services: PageServices, c: Context): Promise<void> {
  const { url, headers } = c.req.raw;
  // What is searched for goes to Docker Hub, also a key that was pasted by mistake.
  await services.gate.rejectKeysIn(new URL(url).search);
  const sent = headers.get("Authorization");
  const session = sent === null ? await authorizationOf(services, c) : null;
  const isInternal = session !== null || (sent === null && services.config.access === "open");
  const passed = new Headers();
  const protocol = headers.get("X-Forwarded-Proto");
  if (protocol !== null) passed.set("X-Forwarded-Proto", protocol);
  const authorization = sent ?? session;
  if (authorization !== null) passed.set("Authorization", authorization);
  const ping = new URL("/v2/", isInternal ? `http://${INTERNAL_HOST}` : url);
  await accepted(services.registry(new Request(ping, { headers: passed }), c));
}

/** Requests of the mirror's registry for the visitor, who may pull by them what their key opens and nothing else. */
function pullOf(services: PageServices, c: Context, authorization: string | null): Pull {
  return (method, path, sent = {}) => {
    const headers = new Headers({ "User-Agent": "portolan-page", ...sent });
    if (authorization !== null) headers.set("Authorization", authorization);
    const { signal } = c.req.raw;
    const request = new Request(`http://${INTERNAL_HOST}/v2/${path}`, { method, headers, signal });
    return services.registry(request, c);
  };
}

/** A form that a page of this mirror's own has sent. @throws RegistryError 403 or 413 */
async function formOf(c: Context, largest = LARGEST_FORM): Promise<URLSearchParams> {
  checkOrigin(c.req.raw);
  const isSmall = Number(c.req.header("Content-Length") ?? Number.NaN) <= largest;
  if (!isSmall) throw new RegistryError(413, "SIZE_INVALID", "the form is too large");
  return new URLSearchParams(await c.req.text());
}
