/** What costs no upstream request, and may be linked to from anywhere: the page at `/`, its files, and what robots and scanners read. */
import { type Context, Hono } from "hono";
import { CLOSED, type Gate } from "../access/gate.ts";
import type { Config } from "../config.ts";
import { clientNamed } from "../guides/clients.ts";
import { type PublicSummaryServices, publicSummary } from "../ledger/public-summary.ts";
import { RegistryError } from "../oci/errors.ts";
import { SCRIPT, STYLES, VERSION } from "./assets.js";
import { Page } from "./layout.tsx";
import { pageResponse, wantsPage } from "./respond.ts";
import { detectLanguage, visitOf } from "./site.ts";
import { Start } from "./start.tsx";

export interface FrontServices extends PublicSummaryServices {
  config: Config;
  gate: Pick<Gate, "hasKeys">;
}

export function frontRoutes(services: FrontServices): Hono {
  const { config, gate } = services;
  const routes = new Hono();
  const summary = publicSummary(services);
  routes.get("/", detectLanguage, async (c) => {
    if (!wantsPage(c)) {
      c.header("Vary", "Accept");
      return c.text(await welcome(services));
    }
    const visit = visitOf(c, config);
    const client = clientNamed(c.req.query("client") ?? "") ?? "docker";
    return pageResponse(
      c,
      <Page visit={visit} config={config} title={null} current="start" version={VERSION}>
        <Start
          {...{ visit, config, client }}
          hasKeys={await hasKeys(gate)}
          summary={config.publicSummary ? await summary() : null}
        />
      </Page>,
    );
  });
  routes.get("/_/page/page.js", (c) => asset(c, SCRIPT, "text/javascript; charset=utf-8"));
  routes.get("/_/page/page.css", (c) => asset(c, STYLES, "text/css; charset=utf-8"));
  routes.get("/_/page/icon.svg", (c) => asset(c, ICON, "image/svg+xml"));
  routes.get("/robots.txt", (c) => c.text("User-agent: *\nDisallow: /\n"));
  routes.get("/.well-known/security.txt", (c) => c.text(securityText(services, c)));
  return routes;
}

/** Their addresses have their version, so that they never change. */
function asset(c: Context, content: string, type: string): Response {
  return c.body(content, 200, {
    "Content-Type": type,
    "Cache-Control": "public, max-age=31536000, immutable",
  });
}

const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><circle cx="16" cy="16" r="16" fill="#e9f1f6"/><path d="M16 1 20 12 31 16 20 20 16 31 12 20 1 16 12 12Z" fill="#1c5479"/><path d="M16 1 20 12 16 16Z" fill="#a5145a"/></svg>`;

/**
 * Upstreams are listed on an open mirror only: they may include the operator's own registries.
 * @returns for scanners and people with curl, who get no page.
 */
async function welcome(services: FrontServices): Promise<string> {
  const { owner, contact } = services.config;
  const lines = [
    "This is Portolan, a pull-through mirror for container registries.",
    "",
    ...(owner === null ? [] : [`It is run by ${owner}.`]),
    ...(contact === null ? [] : [`Contact: ${contact.href}`]),
    await admission(services),
  ];
  return `${lines.join("\n")}\n`;
}

/** A page is shown although the keys can't be read at the moment. */
function hasKeys(gate: FrontServices["gate"]): Promise<boolean> {
  return gate.hasKeys().catch(() => true);
}

async function admission({ config: { access, upstreamNames }, gate }: FrontServices): Promise<string> {
  if (access === "open") return `Mirrored here: ${upstreamNames.join(", ")}`;
  return (await hasKeys(gate)) ? "It needs an access key." : CLOSED;
}

/** Days for which a reader may rely on the file. */
const VALID = 30;

/** RFC 9116. @throws RegistryError 404 where no contact is configured: the file must have one. */
function securityText({ config: { contact }, now }: FrontServices, c: Context): string {
  if (contact === null) throw new RegistryError(404, "UNSUPPORTED", "this mirror's owner gives no contact");
  c.header("Cache-Control", "no-cache");
  const expires = new Date(now() + VALID * 86_400_000).toISOString();
  return `Contact: ${contact.href}\nExpires: ${expires}\nPreferred-Languages: en, zh\n`;
}
