/** Whom a person's own request may involve: the registry that they named, and what that registry needs for it. */
import { isInternal, isLoopback } from "../../src/upstream/addresses.ts";
import { isTrusted, type Trust } from "../../src/upstream/redirects.ts";

/**
 * A login goes to the registry and to the realm that the registry itself names over TLS, as with docker; never on to
 * where either redirects. Only a registry inside a network, which isn't everybody's, may redirect into one.
 */
export function personalTrust(insecure: boolean): Trust {
  const mayBePlain = (url: URL, from: URL) => insecure || (isLoopback(url) && isLoopback(from));
  return {
    maySee: isTrusted,
    mayIssue: (_upstream, endpoint, realm) =>
      realm.origin === endpoint.origin ||
      realm.protocol === "https:" ||
      (realm.protocol === "http:" && mayBePlain(realm, endpoint)),
    mayLead: (_upstream, here, next) =>
      next.origin === here.origin ||
      (next.protocol === "https:" && (!isInternal(next) || isInternal(here))) ||
      (next.protocol === "http:" && mayBePlain(next, here) && (!isInternal(next) || isInternal(here))),
    realmAdvice: "a login isn't sent there without TLS; --insecure allows that",
  };
}
