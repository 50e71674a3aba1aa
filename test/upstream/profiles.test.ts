// Public registries, each with its peculiarities, pulled from end to end through the whole mirror.

import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  behaviours,
  createFakeNetwork,
  createFakeRegistry,
  type FakeNetwork,
  type FakeRegistry,
  type Image,
  patternBytes,
  profiles,
  utf8,
} from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const MIB = 1024 * 1024;
/** Upstreams, and a repository as it is named at each. */
const REPOSITORIES = {
  "docker.io": "library/demo",
  "ghcr.io": "owner/demo",
  "quay.io": "organization/demo",
  "gcr.io": "project/demo",
  "us-docker.pkg.dev": "project/repository/demo",
  "registry.k8s.io": "pause",
  "mcr.microsoft.com": "dotnet/runtime",
  "nvcr.io": "nvidia/cuda",
  "public.ecr.aws": "docker/library/demo",
  "registry.gitlab.com": "group/subgroup/demo",
  "docker.elastic.co": "beats/filebeat",
  "registry.ollama.ai": "library/llama",
} as const satisfies Record<keyof typeof profiles, string>;
type Name = keyof typeof profiles;
const names = Object.keys(REPOSITORIES) as Name[];

const mirror = useMirror({
  UPSTREAMS: {
    "docker.io": { endpoints: ["https://registry-1.docker.io", "https://m.daocloud.io/docker.io"] },
  },
});
let registries: Record<Name, FakeRegistry>;
let lscr: FakeRegistry;
let daocloud: FakeRegistry;
let network: FakeNetwork;

beforeEach(() => {
  registries = Object.fromEntries(names.map((name) => [name, createFakeRegistry(profiles[name])])) as Record<
    Name,
    FakeRegistry
  >;
  // It redirects every request to ghcr.io.
  lscr = createFakeRegistry({ registryHost: "lscr.io", storageHost: "lscr.test", auth: "none" });
  lscr.fail(
    {},
    {
      transform: (_, { url }) => {
        const { pathname, search } = new URL(url);
        return new Response(null, {
          status: 307,
          headers: { location: `https://ghcr.io${pathname}${search}` },
        });
      },
    },
  );
  daocloud = createFakeRegistry({
    registryHost: "m.daocloud.io",
    tokenHost: "m.daocloud.io",
    service: "daocloud",
  });
  network = createFakeNetwork(...Object.values(registries), lscr, daocloud);
  vi.stubGlobal("fetch", network.fetch);
});

const digestOf = async (bytes: Uint8Array) => {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes)));
  return `sha256:${[...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
};

/** Pulls as a client does: the tag, then its manifest, the config and the layers; each must match its digest. */
async function pull(path: string, { target, configs, layers }: Image): Promise<MirrorResponse> {
  const tagged = await mirror.request(`/v2/${path}/manifests/latest`);
  expect(tagged.headers.get("Docker-Content-Digest")).toBe(target.digest);
  const objects = [
    `manifests/${target.digest}`,
    ...[...configs, ...layers].map(({ digest }) => `blobs/${digest}`),
  ];
  const pulled = await Promise.all(
    objects.map(async (object) => {
      const { status, bytes } = await mirror.request(`/v2/${path}/${object}`);
      return [status, `${object.split("/")[0]}/${await digestOf(bytes)}`];
    }),
  );
  expect(pulled).toEqual(objects.map((object) => [200, object]));
  return tagged;
}

/** Requests that carried an Authorization to a host which isn't the registry's own. */
const strayAuthorizations = ({ requests, settings }: FakeRegistry) =>
  requests.filter(
    ({ host, kind, headers }) =>
      kind !== "token" && host !== settings.registryHost && headers.authorization !== undefined,
  );

describe.each(names)("%s", (name) => {
  const repository = REPOSITORIES[name];

  test("is pulled from completely, and from then on served from the store", async () => {
    const registry = registries[name];
    const image = await registry.addImage(repository, "latest", { format: "docker" });
    await pull(`${name}/${repository}`, image);
    const contents = 1 + image.configs.length + image.layers.length;
    expect(await mirror.stored()).toHaveLength(contents);
    expect(strayAuthorizations(registry)).toEqual([]);
    registry.requests.length = 0;
    await pull(`${name}/${repository}`, image);
    expect(registry.requests).toEqual([]);
    expect(network.strays).toEqual([]);
  });

  test("is still pulled from after a day, when every token has expired", async () => {
    const registry = registries[name];
    const image = await registry.addImage(repository, "latest");
    await pull(`${name}/${repository}`, image);
    mirror.clock.ahead += 24 * 3_600_000;
    const next = await registry.addImage(repository, "latest", { platforms: ["linux/arm64"] });
    await pull(`${name}/${repository}`, next);
    expect(network.strays).toEqual([]);
  });

  test("reports a missing tag as missing, not as a failure", async () => {
    await registries[name].addImage(repository, "latest");
    const { status, json } = await mirror.request(`/v2/${name}/${repository}/manifests/gone`);
    expect(status).toBe(404);
    expect(json().errors).toEqual([expect.objectContaining({ code: "MANIFEST_UNKNOWN" })]);
  });
});

test("ghcr.io's placeholder scope is never requested: the scope is the repository's own, for pull only", async () => {
  const registry = registries["ghcr.io"];
  registry.fail(
    { kind: "manifest", authorized: false },
    behaviours.challenge("https://ghcr.io/token", {
      service: "ghcr.io",
      scope: "repository:user/image:pull",
    }),
    1,
  );
  const image = await registry.addImage("owner/demo", "latest");
  await pull("ghcr.io/owner/demo", image);
  const scopes = registry.requests
    .filter(({ kind }) => kind === "token")
    .map(({ query }) => new URLSearchParams(query).getAll("scope"));
  expect(scopes).toEqual([["repository:owner/demo:pull"]]);
});

test("quay.io serves a current manifest to a client without an Accept header", async () => {
  const image = await registries["quay.io"].addImage("organization/demo", "latest");
  for (const init of [{}, { headers: { Accept: "application/json" } }]) {
    const { headers } = await mirror.request("/v2/quay.io/organization/demo/manifests/latest", init);
    expect(headers.get("Content-Type")).toBe(image.target.mediaType);
    mirror.newIsolate();
    mirror.clock.ahead += 3_600_000;
  }
});

test("gcr.io's relative redirects stay at gcr.io, with the token", async () => {
  const registry = registries["gcr.io"];
  const image = await registry.addImage("project/demo", "latest");
  await pull("gcr.io/project/demo", image);
  const storage = registry.requests.filter(({ kind }) => kind === "storage");
  expect(storage.map(({ host, status }) => [host, status])).toEqual(
    Array(storage.length).fill(["gcr.io", 200]),
  );
  expect(storage.length).toBeGreaterThan(0);
});

test("registry.k8s.io's redirects of manifests are followed by HEAD and by digest too", async () => {
  const registry = registries["registry.k8s.io"];
  const image = await registry.addImage("pause", "latest");
  for (const [path, method] of [
    ["latest", "HEAD"],
    [image.target.digest, "GET"],
  ] as const) {
    const { status, headers } = await mirror.request(`/v2/registry.k8s.io/pause/manifests/${path}`, {
      method,
    });
    expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
  }
  expect(registry.count({ kind: "storage" })).toBe(2);
});

describe("mcr.microsoft.com, which cuts at multiples of 8 MiB", () => {
  test.each([
    ["a connection that breaks", behaviours.cutAfter(8 * MIB)],
    ["an end that looks clean", behaviours.endsAfter(8 * MIB)],
  ])("with %s: the rest follows in the same response, and the whole is kept", async (_, cut) => {
    const registry = registries["mcr.microsoft.com"];
    const { layers } = await registry.addImage("dotnet/runtime", "latest", {
      layers: [patternBytes(9 * MIB)],
    });
    const digest = `${layers[0]?.digest}`;
    const path = `/v2/mcr.microsoft.com/dotnet/runtime/blobs/${digest}`;
    registry.fail({ kind: "storage" }, cut, 1);
    const response = await mirror.request(path);
    expect([response.status, response.broken, await digestOf(response.bytes)]).toEqual([200, false, digest]);
    const ranges = registry.requests
      .filter(({ kind }) => kind === "storage")
      .map(({ headers }) => headers.range);
    expect(ranges).toEqual([undefined, `bytes=${8 * MIB}-`]);
    expect(await mirror.stored()).toHaveLength(1);
  });

  test("and that ignores ranges: the client's body breaks off, nothing is stored, and the next pull is complete", async () => {
    const registry = registries["mcr.microsoft.com"];
    registry.settings.ranges = false;
    const { layers } = await registry.addImage("dotnet/runtime", "latest", {
      layers: [patternBytes(9 * MIB)],
    });
    const digest = `${layers[0]?.digest}`;
    const path = `/v2/mcr.microsoft.com/dotnet/runtime/blobs/${digest}`;
    const fault = registry.fail({ kind: "storage" }, behaviours.cutAfter(8 * MIB));
    const first = await mirror.request(path);
    expect([first.status, first.headers.get("Content-Length"), first.broken]).toEqual([
      200,
      String(9 * MIB),
      true,
    ]);
    expect(await mirror.stored()).toEqual([]);
    fault.remove();
    const second = await mirror.request(path);
    expect([second.status, second.broken, await digestOf(second.bytes)]).toEqual([200, false, digest]);
    await mirror.runAlarm(digest);
    expect(await mirror.stored()).toHaveLength(1);
  });
});

test("nvcr.io's other realm after expiry is never used, and its missing service never invented", async () => {
  const registry = registries["nvcr.io"];
  registry.settings.tokenLifetime = 5;
  await registry.addImage("nvidia/cuda", "latest");
  expect((await mirror.request("/v2/nvcr.io/nvidia/cuda/manifests/latest")).status).toBe(200);
  mirror.clock.ahead += 100_000;
  expect((await mirror.request("/v2/nvcr.io/nvidia/cuda/tags/list")).status).toBe(200);
  expect(registry.count({ status: 401 })).toBeGreaterThan(1);
  const queries = registry.requests
    .filter(({ kind }) => kind === "token")
    .map(({ query }) => [...new URLSearchParams(query).keys()]);
  expect(queries).toEqual([["scope"], ["scope"]]);
  expect(network.strays).toEqual([]);
});

test("public.ecr.aws gets no request for the second that its limit lasts, which is reported to the client", async () => {
  const registry = registries["public.ecr.aws"];
  await registry.addImage("docker/library/demo", "latest");
  registry.fail({ kind: "manifest", authorized: true }, behaviours.tooManyRequests(1), 1);
  const path = "/v2/public.ecr.aws/docker/library/demo/manifests/latest";
  const { status, headers } = await mirror.request(path);
  expect([status, headers.get("Retry-After")]).toEqual([429, "1"]);
  mirror.clock.ahead += 1_000;
  expect((await mirror.request(path)).status).toBe(200);
});

test("lscr.io is pulled from through ghcr.io, with ghcr.io's challenge and token", async () => {
  const image = await registries["ghcr.io"].addImage("linuxserver/demo", "latest");
  await pull("lscr.io/linuxserver/demo", image);
  expect(lscr.requests.length).toBeGreaterThan(0);
  expect(strayAuthorizations(registries["ghcr.io"])).toEqual([]);
  expect(network.strays).toEqual([]);
});

test("registry.ollama.ai's models are pulled, with any layer media types", async () => {
  const registry = registries["registry.ollama.ai"];
  const layers = await Promise.all(
    ["model", "license", "params"].map(async (what) => ({
      mediaType: `application/vnd.ollama.image.${what}`,
      ...(await registry.addBlob(utf8(`${what} of a model`), { repository: "library/llama" })),
    })),
  );
  const config = {
    mediaType: "application/vnd.docker.container.image.v1+json",
    ...(await registry.addBlob(utf8("{}"), { repository: "library/llama" })),
  };
  const mediaType = "application/vnd.docker.distribution.manifest.v2+json";
  const target = await registry.addManifest(
    "library/llama",
    { schemaVersion: 2, mediaType, config, layers },
    { tag: "latest" },
  );
  const tagged = await pull("registry.ollama.ai/library/llama", {
    target,
    index: null,
    manifests: [target],
    configs: [config],
    layers,
  });
  expect(tagged.headers.get("Content-Type")).toBe(mediaType);
});

test("m.daocloud.io, a fallback with a path, is requested names below it, with a token for such a name", async () => {
  const options = { layers: [patternBytes(100)] };
  const image = await registries["docker.io"].addImage("library/demo", "latest", options);
  await daocloud.addImage("docker.io/library/demo", "latest", options);
  await mirror.request("/v2/demo/manifests/latest");
  registries["docker.io"].fail({ kind: "blob" }, behaviours.tooManyRequests());
  await pull("demo", { ...image, layers: [] });
  const { digest } = image.configs[0] ?? { digest: "" };
  expect(daocloud.requests.map(({ path, status }) => [path, status])).toEqual([
    [`/v2/docker.io/library/demo/blobs/${digest}`, 401],
    ["/token", 200],
    [`/v2/docker.io/library/demo/blobs/${digest}`, 200],
  ]);
  expect(new URLSearchParams(daocloud.requests[1]?.query).get("scope")).toBe(
    "repository:docker.io/library/demo:pull",
  );
  expect(daocloud.requests.filter(({ headers }) => headers.authorization?.includes("registry-1"))).toEqual(
    [],
  );
});

test("a family member that sends wrong bytes to a fill by alarm is still requested new content: it is the primary", async () => {
  const registry = registries["us-docker.pkg.dev"];
  const { layers } = await registry.addImage("project/repository/demo", "latest");
  const digest = `${layers[0]?.digest}`;
  const path = "/v2/us-docker.pkg.dev/project/repository/demo";
  const { transform } = behaviours.corrupted();
  const fault = registry.fail(
    { kind: "storage" },
    {
      transform: (response, request) =>
        request.headers.has("Range") ? response : transform(response, request),
    },
  );
  // The second range starts a background fill of the whole blob.
  for (const Range of ["bytes=0-", "bytes=1-"]) {
    expect((await mirror.request(`${path}/blobs/${digest}`, { headers: { Range } })).status).toBe(206);
  }
  await mirror.runAlarm(digest);
  expect(fault.hits).toBeGreaterThan(0);
  expect((await mirror.request(`${path}/manifests/latest`)).status).toBe(200);
});
