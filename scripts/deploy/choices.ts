/** What a person decides about a deployment, and the settings of wrangler.toml that follow from it. */
import { isDeepStrictEqual } from "node:util";
import { hyphenated, readConfig } from "../../src/config.ts";
import { REGISTRIES } from "../../src/upstream/registries.ts";
import type { Setting } from "../config/merge/values.ts";

export interface Choices {
  /** A host name of its own, `mirror.example.com`, on which registries are reached by path. */
  host?: string;
  /** A domain for host routing: `docker.example.com`, `ghcr.example.com`. */
  domain?: string;
  /** How hosts of the domain lead to the mirror: one by one, or all of them. */
  routing?: "hosts" | "wildcard";
  /** Names of the registries that get a host of their own. */
  upstreams?: readonly string[];
  /** As CACHE_LIMIT. */
  limit?: string;
  /** URLs of other mirrors that are requested when a registry limits or fails. */
  relays?: readonly string[];
}

const HOST = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$/;

/** The registries that get a host where none are named. */
export const USUAL = ["docker.io", "ghcr.io", "quay.io", "registry.k8s.io"];

/**
 * The settings, in the order in which they are written. What wasn't chosen stays as it is.
 * @throws Error that says what is wrong with a choice.
 */
export function settingsOf(choices: Choices): Setting[] {
  const { host, domain, limit, relays = [] } = choices;
  for (const name of [host, domain]) {
    if (name !== undefined && !HOST.test(name)) throw new Error(`"${name}" isn't a host name in lower case`);
  }
  // Nothing is written that the Worker would refuse.
  readConfig({
    ...(limit === undefined ? {} : { CACHE_LIMIT: limit }),
    ...(relays.length === 0 ? {} : { RELAYS: relaysOf(relays) }),
  });
  const routes = routesOf(choices);
  // Firewall rules of the domain don't apply to other addresses.
  const closed = [
    { path: ["workers_dev"], value: false },
    { path: ["preview_urls"], value: false },
  ];
  return [
    ...(routes.length === 0 ? [] : [...closed, { path: ["routes"], value: routes }]),
    ...(domain === undefined ? [] : [{ path: ["vars", "DOMAIN"], value: domain }]),
    ...(limit === undefined ? [] : [{ path: ["vars", "CACHE_LIMIT"], value: limit }]),
    ...(relays.length === 0 ? [] : [{ path: ["vars", "RELAYS"], value: relaysOf(relays) }]),
  ];
}

function relaysOf(urls: readonly string[]) {
  return urls.map((url) => ({ url, when: "limited" }));
}

/** The address at which a configured mirror is reached; null where only Cloudflare knows it. */
export function addressOf(routes: unknown): string | null {
  const patterns = (Array.isArray(routes) ? routes : []).flatMap((route: unknown) => {
    const pattern = typeof route === "object" && route !== null && "pattern" in route ? route.pattern : route;
    return typeof pattern === "string" ? [pattern.replace(/\/.*$/, "")] : [];
  });
  const host = patterns.find((pattern) => HOST.test(pattern));
  if (host !== undefined) return `https://${host}`;
  const wildcard = patterns.find((pattern) => /^\*\./.test(pattern) && HOST.test(pattern.slice(2)));
  return wildcard === undefined ? null : `https://docker.${wildcard.slice(2)}`;
}

type Route = { pattern: string; custom_domain: true } | { pattern: string; zone_name: string };

function routesOf({ host, domain, routing = "hosts", upstreams = USUAL }: Choices): Route[] {
  const own = host === undefined ? [] : [host];
  if (domain === undefined) return own.map(customDomain);
  if (routing === "wildcard") {
    return [...own.map(customDomain), { pattern: `*.${domain}/*`, zone_name: domain }];
  }
  const hosts = upstreams.map((name) => `${labelOf(name)}.${domain}`);
  return [...new Set([...own, ...hosts])].map(customDomain);
}

function customDomain(pattern: string): Route {
  return { pattern, custom_domain: true };
}

/** @throws Error for what is no built-in registry. */
function labelOf(name: string): string {
  const registry = Object.entries(REGISTRIES).find(([known]) => known === name)?.[1];
  if (registry === undefined || name.startsWith("*")) {
    throw new Error(`"${name}" isn't a registry that is mirrored by itself; docs/upstreams.md lists them`);
  }
  return registry.aliases?.[0] ?? hyphenated(name);
}

/** Whether anything was chosen. */
export function isChosen(choices: Choices): boolean {
  return !isDeepStrictEqual(settingsOf(choices), []);
}
