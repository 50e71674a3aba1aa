/** The upstreams of a soak on loopback sockets: three registries that differ as real registries do. */
import { createFakeRegistry, type FakeRegistry, profiles } from "../support/fake-registry.ts";
import { type Listening, listen } from "../support/node/listen.ts";
import { type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { Faults, type UpstreamRequest } from "./faults.ts";
import type { Random } from "./random.ts";

export interface Upstreams {
  registries: ReadonlyMap<string, FakeRegistry>;
  faults: Faults;
  /** As `npm start` takes them. */
  args: string[];
  /** Requests of any kind so far. */
  requests(): number;
  /** GETs whose responses would carry content. */
  contentRequests(): number;
  close(): Promise<void>;
}

/** Seconds; so short that tokens expire within a run. */
const TOKEN_LIFETIME = 5;

/**
 * @param rate the share of requests that fail.
 * @param bytesOf the true content of a blob, if it is known.
 */
export async function startUpstreams(
  random: Random,
  rate: number,
  bytesOf: (digest: string) => Uint8Array | null,
): Promise<Upstreams> {
  const raw: RawFaults = await startRawFaults();
  const faults = new Faults(random, rate, raw, bytesOf);
  const listening: Listening[] = [];
  const registries = new Map<string, FakeRegistry>([
    // Tokens, and blobs by redirect to storage.
    ["docker.io", createFakeRegistry({ ...profiles["docker.io"], expiresIn: TOKEN_LIFETIME })],
    // Neither of these.
    ["plain.test", createFakeRegistry({ auth: "none" })],
    // The same, with a second endpoint that serves the same content.
    ["fallbacks.test", createFakeRegistry({ auth: "none" })],
  ]);
  let contentRequests = 0;
  const args: string[] = [];
  for (const [name, registry] of registries) {
    const fetch = async (input: Request | URL | string): Promise<Response> => {
      const request = new Request(input);
      const classified = classify(registry, request);
      if (classified.hasBody) contentRequests++;
      return faults.apply(classified, (through) => registry.fetch(through));
    };
    const primary = await listen({ ...registry, fetch });
    listening.push(primary);
    const urls = [primary.url];
    if (name === "fallbacks.test") {
      const fallback = await listen((request) => fetch(moved(request, primary.url)));
      listening.push(fallback);
      urls.push(fallback.url);
    }
    args.push("--upstream", `${name}=${urls.join(",")}`, "--insecure", name);
  }
  return {
    registries,
    faults,
    args,
    requests: () =>
      [...registries.values()].reduce((sum, { requests }) => sum + requests.length, raw.requests.length) +
      // These never reach a registry.
      (faults.counts.outage ?? 0),
    contentRequests: () => contentRequests,
    close: async () => {
      await Promise.all([raw.close(), ...listening.map(({ close }) => close())]);
    },
  };
}

function classify({ settings }: FakeRegistry, request: Request): UpstreamRequest {
  const { host, pathname } = new URL(request.url);
  const [, digest = null] = /\/(sha256:[a-f0-9]{64})$/.exec(pathname) ?? [];
  const kind = kindOf(settings, host, pathname);
  const isRedirected = kind === "blob" && settings.redirect !== "none";
  const isContent = kind === "manifest" || kind === "blob" || kind === "storage";
  return { request, kind, digest, hasBody: isContent && !isRedirected && request.method === "GET" };
}

function kindOf(settings: FakeRegistry["settings"], host: string, path: string): UpstreamRequest["kind"] {
  if (host === settings.tokenHost && path === settings.tokenPath) return "token";
  if (host === settings.storageHost) return "storage";
  const [, kind] = /\/(manifests|blobs)\/[^/]+$/.exec(path) ?? [];
  if (kind === "manifests") return "manifest";
  return kind === "blobs" ? "blob" : "other";
}

/** The same request to another origin. */
function moved(request: Request, origin: string): Request {
  const { pathname, search } = new URL(request.url);
  return new Request(new URL(pathname + search, origin), request);
}
