/** What follows from a ranking: which mirrors a Docker and a Portolan may be given. */
import { isFresh, isUsable, type Measured } from "./rank.ts";

/** Docker asks mirrors one after the other, and waits for each that hangs. */
const MOST = 3;

/**
 * `daemon.json` for the best mirrors of docker.io; null if there are none. Only fresh ones: Docker asks mirrors for tags.
 * And only those without a path, which older versions of Docker refuse.
 */
export function daemonJson(ranked: readonly Measured[]): string | null {
  const mirrors = ranked
    .filter((each) => isUsable(each) && isFresh(each) && each.mirror.registry === "docker.io")
    .map(({ mirror }) => new URL(mirror.url))
    .filter(({ pathname }) => pathname === "/")
    .map(({ origin }) => origin);
  return mirrors.length === 0
    ? null
    : JSON.stringify({ "registry-mirrors": mirrors.slice(0, MOST) }, null, 2);
}

/**
 * The options that give Portolan the best mirrors of a registry as fallbacks. Stale ones are as good as others here: fallbacks are
 * requested digests only. Null if there are none.
 * @param publisher the registry's own endpoint; null where it can't be reached: then the best mirror is the primary.
 */
export function upstreamOption(
  ranked: readonly Measured[],
  registry: string,
  publisher: string | null,
): string | null {
  const mirrors = endpointsFor(ranked, registry).map(({ endpoint }) => endpoint);
  if (mirrors.length === 0) return null;
  const endpoints = publisher === null ? mirrors.slice(0, MOST + 1) : [publisher, ...mirrors.slice(0, MOST)];
  // An upstream's name has no port; its endpoints have.
  const name = registry.replace(/:\d+$/, "");
  const insecure = endpoints.some((url) => url.startsWith("http:")) ? ` --insecure ${name}` : "";
  return `--upstream ${name}=${endpoints.join(",")}${insecure}`;
}

/** The mirror that `upstreamOption` makes the primary of a registry that can't be reached; null if there is none. */
export function primaryFor(ranked: readonly Measured[], registry: string): Measured | null {
  return endpointsFor(ranked, registry)[0]?.measured ?? null;
}

/** The usable mirrors of a registry that can be endpoints, the best first. */
function endpointsFor(
  ranked: readonly Measured[],
  registry: string,
): { measured: Measured; endpoint: string }[] {
  return ranked
    .filter((each) => isUsable(each) && each.mirror.registry === registry)
    .flatMap((measured) => {
      const endpoint = endpointOf(measured.mirror.url);
      return endpoint === null ? [] : [{ measured, endpoint }];
    });
}

/** The mirror as an endpoint is written, whose path goes between `/v2` and the repository; null where that can't be expressed. */
function endpointOf(mirror: string): string | null {
  const { origin, pathname } = new URL(mirror);
  if (pathname === "/") return origin;
  const [, path] = /^\/v2(\/.+)$/.exec(pathname) ?? [];
  return path === undefined ? null : `${origin}${path}`;
}
