/** The fake registry: content, tokens, routes and faults put together behind one fetch. Runs in Node and in workerd. */
import { withBody } from "./fake-registry/answers.ts";
import type {
  BlobOptions,
  ManifestOptions,
  StoredBlob,
  StoredManifest,
  Visibility,
} from "./fake-registry/content.ts";
import { Content } from "./fake-registry/content.ts";
import type { Behaviour, FaultHandle, FaultMatch } from "./fake-registry/faults.ts";
import { Faults } from "./fake-registry/faults.ts";
import type { Image, ImageOptions } from "./fake-registry/images.ts";
import { addImage } from "./fake-registry/images.ts";
import { Listings } from "./fake-registry/listings.ts";
import { Objects } from "./fake-registry/objects.ts";
import type { RequestKind } from "./fake-registry/routes.ts";
import { createRoutes } from "./fake-registry/routes.ts";
import type { FakeRegistryOptions, RegistrySettings } from "./fake-registry/settings.ts";
import { withDefaults } from "./fake-registry/settings.ts";
import { Storage } from "./fake-registry/storage.ts";
import { Tokens } from "./fake-registry/tokens.ts";

export { gunzip, gzip, patternBytes, tarLayer, utf8 } from "./fake-registry/bytes.ts";
export * as behaviours from "./fake-registry/fault-behaviours.ts";
export { profiles } from "./fake-registry/profiles.ts";
export type {
  Behaviour,
  FakeRegistryOptions,
  FaultHandle,
  FaultMatch,
  Image,
  ImageOptions,
  RegistrySettings,
  RequestKind,
  StoredBlob,
  StoredManifest,
};

export type RecordedRequest = {
  method: string;
  host: string;
  path: string;
  /** Without its sketch mark. */
  query: string;
  /** Names in lower case. */
  headers: Record<string, string>;
  /** 0 while unanswered, and for ever when the connection was lost. */
  status: number;
  repository: string | null;
  kind: RequestKind;
  /** Bytes of stored content that were read from the body of the response. */
  bytesSent: number;
};

export type RequestFilter = Partial<
  Pick<RecordedRequest, "method" | "host" | "status" | "repository" | "kind">
> & {
  path?: RegExp;
};

export type FetchInput = Request | URL | string;

export type FakeRegistry = {
  /** Live: a change counts from the next request on. */
  readonly settings: RegistrySettings;
  /** Follows no redirects: what it returns is what one request would get. */
  fetch: (input: FetchInput, init?: RequestInit) => Promise<Response>;
  /** Whether a host (with its port) is one of this registry's. */
  serves: (host: string) => boolean;

  addBlob: (bytes: Uint8Array, options?: BlobOptions) => Promise<StoredBlob>;
  addManifest: (
    repository: string,
    manifest: object | Uint8Array,
    options?: ManifestOptions,
  ) => Promise<StoredManifest>;
  addImage: (repository: string, tag: string, options?: ImageOptions) => Promise<Image>;
  addVariant: (repository: string, tag: string, digest: string) => void;
  moveTag: (repository: string, tag: string, digest: string) => void;
  removeTag: (repository: string, tag: string) => void;
  removeManifest: (repository: string, digest: string) => void;
  removeBlob: (digest: string) => void;
  setVisibility: (repository: string, visibility: Visibility) => void;

  fail: (match: FaultMatch, behaviour: Behaviour, times?: number) => FaultHandle;
  clearFaults: () => void;

  readonly requests: RecordedRequest[];
  readonly bytesSent: number;
  count: (filter?: RequestFilter) => number;
  /** Forgets requests and faults. Content, tokens and settings stay. */
  reset: () => void;
};

export function createFakeRegistry(options: FakeRegistryOptions = {}): FakeRegistry {
  const settings = withDefaults(options);
  const content = new Content();
  const tokens = new Tokens(settings, content);
  const storage = new Storage(settings, content);
  const objects = new Objects(settings, content, storage);
  const listings = new Listings(settings, content);
  const faults = new Faults();
  const plan = createRoutes({ settings, content, tokens, objects, listings, storage });
  const requests: RecordedRequest[] = [];

  const serves = (host: string) =>
    [settings.registryHost, settings.tokenHost, settings.storageHost].includes(host);

  async function fetch(input: FetchInput, init?: RequestInit): Promise<Response> {
    // A Request of another realm (Miniflare's own class, for one) is taken as it is: `new Request` wouldn't know it.
    const request =
      typeof input === "string" || input instanceof URL || init ? new Request(input, init) : input;
    const recorded = record(request);
    requests.push(recorded);
    const onSlice = (size: number) => {
      recorded.bytesSent += size;
    };
    const { method, url } = request;
    const planned = await plan({ method, url, request, host: recorded.host, onSlice });
    if (planned === undefined)
      throw new TypeError(`fetch failed: no such host ${recorded.host} (fake registry)`);
    recorded.kind = planned.kind;
    recorded.repository = planned.repository;

    const refusal = planned.authorize();
    const faulty = { ...recorded, authorized: refusal === null };
    const response = await faults.apply(faulty, request, async () => refusal ?? (await planned.response()));
    recorded.status = response.status;
    return method === "HEAD" && response.body !== null ? withBody(response, null) : response;
  }

  return {
    settings,
    fetch,
    serves,
    addBlob: (bytes, blobOptions) => content.addBlob(bytes, blobOptions),
    addManifest: (repository, manifest, manifestOptions) =>
      content.addManifest(repository, manifest, manifestOptions),
    addImage: (repository, tag, imageOptions) => addImage(content, repository, tag, imageOptions),
    addVariant: (repository, tag, digest) => content.addVariant(repository, tag, digest),
    moveTag: (repository, tag, digest) => content.moveTag(repository, tag, digest),
    removeTag: (repository, tag) => content.removeTag(repository, tag),
    removeManifest: (repository, digest) => content.removeManifest(repository, digest),
    removeBlob: (digest) => content.removeBlob(digest),
    setVisibility: (repository, visibility) => content.setVisibility(repository, visibility),
    fail: (match, behaviour, times) => faults.add(match, behaviour, times),
    clearFaults: () => faults.clear(),
    requests,
    get bytesSent() {
      return requests.reduce((total, { bytesSent }) => total + bytesSent, 0);
    },
    count: (filter = {}) => requests.filter((request) => isMatch(request, filter)).length,
    reset: () => {
      requests.length = 0;
      faults.clear();
    },
  };
}

export type FakeNetwork = {
  fetch: (input: FetchInput, init?: RequestInit) => Promise<Response>;
  /** Hosts that were requested and belong to no registry: what a closed list of upstreams must keep empty. */
  readonly strays: string[];
};

/** Several registries behind one fetch, chosen by host, as a Worker's outbound traffic finds them. */
export function createFakeNetwork(...registries: readonly FakeRegistry[]): FakeNetwork {
  const strays: string[] = [];
  return {
    strays,
    async fetch(input, init) {
      const { host } = new URL(typeof input === "string" || input instanceof URL ? input : input.url);
      const registry = registries.find((candidate) => candidate.serves(host));
      if (registry !== undefined) return registry.fetch(input, init);
      strays.push(host);
      throw new TypeError(`fetch failed: no such host ${host} (fake network)`);
    },
  };
}

function record(request: Request): RecordedRequest {
  const { host, pathname, search } = new URL(request.url);
  return {
    method: request.method,
    host,
    path: pathname,
    query: search.slice(1),
    headers: Object.fromEntries(request.headers),
    status: 0,
    repository: null,
    kind: "other",
    bytesSent: 0,
  };
}

function isMatch(request: RecordedRequest, { path, ...exact }: RequestFilter): boolean {
  if (path !== undefined && request.path.search(path) < 0) return false;
  return (
    (exact.method === undefined || exact.method === request.method) &&
    (exact.host === undefined || exact.host === request.host) &&
    (exact.status === undefined || exact.status === request.status) &&
    (exact.repository === undefined || exact.repository === request.repository) &&
    (exact.kind === undefined || exact.kind === request.kind)
  );
}
