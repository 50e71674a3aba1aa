/** How each upstream is reached, as it is printed at the start. */
import type { Config } from "../../src/config.ts";
import { parseProxy, proxyFor, shownProxy } from "../../src/registry/proxies.ts";
import { relaysFor } from "../../src/upstream/relays.ts";

export interface Way {
  /** A relay or a proxy, named without its password; null for those that are reached directly. */
  through: string | null;
  /** Whether only when the registry itself limits requests, fails or is slow. */
  isSecond: boolean;
  upstreams: readonly string[];
}

/** @returns none where all are reached directly. */
export function waysOf(config: Config): Way[] {
  const first = new Map<string | null, string[]>();
  const second = new Map<string | null, string[]>();
  const add = (ways: typeof first, through: string | null, name: string) =>
    ways.set(through, [...(ways.get(through) ?? []), name]);
  for (const name of config.upstreamNames) {
    const relays = relaysFor(config.relays, { name }, "anonymous");
    const always = relays.find(({ when }) => when === "always");
    add(first, always ? `the relay ${always.url.origin}` : proxyOf(config, name), name);
    for (const { when, url } of relays) if (when === "limited") add(second, `the relay ${url.origin}`, name);
  }
  if (second.size === 0 && [...first.keys()].every((through) => through === null)) return [];
  return [
    ...[...first].map(([through, upstreams]) => ({ through, isSecond: false, upstreams })),
    ...[...second].map(([through, upstreams]) => ({ through, isSecond: true, upstreams })),
  ];
}

function proxyOf({ upstream, proxies }: Config, name: string): string | null {
  const settings = upstream(name);
  // A family's members are reached at hosts of their own.
  const url = settings?.endpoints[0] ?? new URL(`https://${name.replace("*", "member")}`);
  const own = settings?.proxy;
  const proxy = own === "direct" ? null : own === undefined ? proxyFor(url, proxies) : parseProxy(own);
  return proxy && shownProxy(proxy);
}
