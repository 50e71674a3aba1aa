/** What the pages say of the mirror itself, and to whom: its name, whose it is, who may pull, and the visitor's language and theme. */
import type { Context } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { languageDetector } from "hono/language";
import { takeKey } from "../access/url.ts";
import type { Config } from "../config.ts";
import { hostLabel } from "../guides/addresses.ts";
import { upstreamOfHost } from "../route.ts";
import { REGISTRIES } from "../upstream/registries.ts";
import type { MirrorNames } from "./references/reference.ts";
import { en, type Texts } from "./texts/en.ts";
import { zh } from "./texts/zh.ts";

export type Theme = "light" | "dark" | "auto";

export interface Visit {
  texts: Texts;
  theme: Theme;
  /** The mirror as the visitor reaches it, without an access key that was in the host. */
  origin: URL;
  /** How its images are named. */
  names: MirrorNames;
  /** The page's path and query without `lang` and `theme`. */
  path: string;
}

/** What of the configuration the pages show. */
export type SiteConfig = Pick<
  Config,
  "access" | "adminKey" | "domain" | "upstreamNames" | "upstreamByLabel" | "hosted" | "owner" | "contact"
>;

const YEAR = 365 * 24 * 3600;

/** Finds the visitor's language: `?lang`, else the cookie that it left, else Accept-Language. */
export const detectLanguage = languageDetector({
  order: ["querystring", "cookie", "header"],
  lookupQueryString: "lang",
  lookupCookie: "lang",
  supportedLanguages: ["en", "zh"],
  fallbackLanguage: "en",
  caches: false,
});

/** Reads who visits; a choice in the query is remembered in a cookie. */
export function visitOf(c: Context, config: SiteConfig): Visit {
  const origin = originOf(c, config);
  const path = new URL(c.req.url);
  for (const name of ["lang", "theme"]) path.searchParams.delete(name);
  const chosen = { lang: c.req.query("lang"), theme: c.req.query("theme") };
  const language = c.get("language");
  const theme = themeOf(chosen.theme ?? getCookie(c, "theme"));
  const options = { path: "/", maxAge: YEAR, sameSite: "Lax", secure: origin.protocol === "https:" } as const;
  if (chosen.lang !== undefined) setCookie(c, "lang", language, options);
  if (chosen.theme !== undefined) setCookie(c, "theme", theme, options);
  return {
    texts: language === "zh" ? zh : en,
    theme,
    origin,
    names: namesOf(origin, config),
    path: path.pathname + path.search,
  };
}

function themeOf(text: string | undefined): Theme {
  return text === "light" || text === "dark" ? text : "auto";
}

/** A TLS proxy in front is believed to make things safer only. */
function originOf(c: Context, { access, domain }: SiteConfig): URL {
  const sent = new URL(c.req.url);
  const url = new URL((access === "keys" ? takeKey(sent, domain).url : sent).origin);
  if (c.req.header("X-Forwarded-Proto") === "https") url.protocol = "https:";
  return url;
}

/** A keyed mirror names only registries that everyone knows: others may be the operator's own. */
function namesOf({ host, hostname }: URL, config: SiteConfig): MirrorNames {
  const { access, domain, upstreamNames, hosted } = config;
  const upstreams = upstreamNames.filter((name) => access === "open" || Object.hasOwn(REGISTRIES, name));
  const isOwnHost =
    upstreamOfHost(hostname, config as Config) !== null || hostname === `${hosted.host}.${domain}`;
  if (domain === null || !isOwnHost) return { host, upstreams, hosts: null };
  const port = host.slice(hostname.length);
  const single = upstreams.filter((name) => !name.startsWith("*"));
  return {
    host,
    upstreams: single,
    hosts: Object.fromEntries(single.map((name) => [name, `${hostLabel(name)}.${domain}${port}`])),
  };
}
