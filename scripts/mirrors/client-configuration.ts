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
 * The options that give Portolan the best mirrors of a registry as alternates. Stale ones are as good as others here: alternates are
 * requested digests only. Null if there are none.
 * @param publisher the registry's own endpoint.
 */
export function upstreamOption(
  ranked: readonly Measured[],
  registry: string,
  publisher: string,
): string | null {
  const alternates = ranked
    .filter((each) => isUsable(each) && each.mirror.registry === registry)
    .map(({ mirror }) => endpointOf(mirror.url))
    .filter((endpoint) => endpoint !== null);
  if (alternates.length === 0) return null;
  const endpoints = [publisher, ...alternates.slice(0, MOST)];
  const insecure = endpoints.some((url) => url.startsWith("http:")) ? ` --insecure ${registry}` : "";
  return `--upstream ${registry}=${endpoints.join(",")}${insecure}`;
}

/** The mirror as an endpoint is written, whose path goes between `/v2` and the repository; null where that can't be expressed. */
function endpointOf(mirror: string): string | null {
  const { origin, pathname } = new URL(mirror);
  if (pathname === "/") return origin;
  const [, path] = /^\/v2(\/.+)$/.exec(pathname) ?? [];
  return path === undefined ? null : `${origin}${path}`;
}
