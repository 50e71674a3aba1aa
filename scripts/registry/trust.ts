/** Whom a person's own request may involve: the registry that they named, and what that registry needs for it. */
import { isLoopback } from "../../src/registry/addresses.ts";
import { isTrusted, type Trust } from "../../src/registry/redirects.ts";
import { mayReach } from "./reach.ts";

/**
 * A login goes to the registry and to the realm that the registry itself names over TLS, as with docker. Of redirects it
 * follows only a realm's within the realm's own origin, or to a listed realm. Where redirects, uploads and realms may lead, `mayReach` says.
 */
export function personalTrust(insecure: boolean): Trust {
  const isProtected = (from: URL, to: URL) =>
    to.protocol === "https:" ||
    (to.protocol === "http:" && (insecure || (isLoopback(to) && isLoopback(from))));
  const mayLead = (from: URL, to: URL) =>
    to.origin === from.origin || (isProtected(from, to) && mayReach(from, to));
  return {
    maySee: isTrusted,
    mayIssue: (_upstream, endpoint, realm) => mayLead(endpoint, realm),
    mayForward: (upstream, endpoint, here, next) =>
      mayLead(here, next) && (next.origin === here.origin || isTrusted(upstream, endpoint, next)),
    mayLead: (_upstream, here, next) => mayLead(here, next),
    realmAdvice:
      "a login goes nowhere without TLS (--insecure allows that), and not into this network for a registry outside it",
  };
}
