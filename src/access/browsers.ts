/** What keeps web pages away from the mirror: a browser on its network would send requests for any of them. */
import { RegistryError } from "../oci/errors.ts";
import { isLoopback } from "../registry/addresses.ts";

/**
 * For every response: no cache of the platform's in front of the Worker keeps it, whose key has no Authorization; a browser takes it for
 * what it says it is, runs nothing of it and shows it to no other site.
 */
const RESPONSE_HEADERS = {
  "Cloudflare-CDN-Cache-Control": "no-store",
  "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Robots-Tag": "noindex",
};

/** Of the mirror's own pages: files of this origin only, nothing inline, and HTML from strings for the page's one policy. */
export const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types portolan";

/** A page keeps its own policy; no other one is let through. Its forms have to send their Origin, which `no-referrer` would make null. */
export function protect(headers: Headers): void {
  const isPage = headers.get("Content-Security-Policy") === PAGE_POLICY;
  for (const [name, value] of Object.entries(RESPONSE_HEADERS)) headers.set(name, value);
  if (!isPage) return;
  headers.set("Content-Security-Policy", PAGE_POLICY);
  headers.set("Referrer-Policy", "same-origin");
}

/**
 * Accepts only the mirror's own names, where these are known: a page whose name an attacker lets resolve to the mirror's
 * address (DNS rebinding) would be of the same origin as the mirror and could read all that it serves.
 * Names below `.internal`, such as Docker's `host.docker.internal`, are in no public DNS.
 * @throws RegistryError 421
 */
export function checkHost(
  sent: string,
  { hosts, domain }: { hosts: readonly string[] | null; domain: string | null },
): void {
  if (hosts === null) return;
  const url = new URL(sent);
  const { hostname } = url;
  if (isLoopback(url) || hostname.endsWith(".internal")) return;
  const isOwn = domain !== null && (hostname === domain || hostname.endsWith(`.${domain}`));
  if (isOwn || hosts.includes(hostname)) return;
  const message =
    "this mirror doesn't answer to the host name of this request; its operator adds further names to the variable HOSTS";
  throw new RegistryError(421, "DENIED", message);
}

/**
 * Refuses what a page of another site lets a browser fetch: an image in it could make the mirror pull something.
 * Source: W3C Fetch Metadata, "Sec-Fetch-Site"; clients of registries don't send it.
 * @throws RegistryError 403
 */
export function checkSite(headers: Headers): void {
  const site = headers.get("Sec-Fetch-Site");
  if (site === null || site === "same-origin" || site === "none") return;
  throw new RegistryError(403, "DENIED", "pages of other sites can't fetch from this mirror");
}

/**
 * Refuses what changes something unless a page of this very origin has sent it: a cookie alone says nothing of who made the
 * browser send it.
 * @throws RegistryError 403
 */
export function checkOrigin({ url, headers }: Request): void {
  const origin = URL.parse(headers.get("Origin") ?? "");
  if (origin?.host === new URL(url).host) return;
  throw new RegistryError(403, "DENIED", "only this mirror's own pages can do that");
}
