/** Isolation of clients, repositories and upstreams: private content is neither served nor revealed to others. */
import { beforeEach, expect } from "vitest";
import { behaviours, type Image, patternBytes } from "../support/fake-registry.ts";
import type { MirrorResponse } from "../support/mirror.ts";
import {
  blobKey,
  CLIENTS,
  cacheStatus,
  calls,
  expectRefused,
  expectStale,
  expectWhole,
  LAYER,
  later,
  pullAll,
  TAG,
  useFaults,
  WARM,
} from "./support.ts";

const OWNER = { username: "owner", password: "hunter2" };
const scene = useFaults("isolation", {
  vars: { DOMAIN: "example.com", UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] } },
});
const { mirror, demo, fault } = scene;
/** Milliseconds after which a repository is no longer assumed public, with an hour to spare. */
const A_DAY = 25 * 3_600_000;
const SECRET = patternBytes(1000, 99);
let secret: Image;
/** The private image's layer, and its path. */
let hidden: { digest: string; blob: string; manifest: string; tag: string };

beforeEach(async () => {
  mirror.docker.settings.credentials = [OWNER];
  secret = await mirror.docker.addImage("owner/secret", "latest", { layers: [SECRET] });
  mirror.docker.setVisibility("owner/secret", "private");
  const digest = secret.layers[0]?.digest ?? "";
  hidden = {
    digest,
    blob: `/v2/owner/secret/blobs/${digest}`,
    manifest: `/v2/owner/secret/manifests/${secret.target.digest}`,
    tag: "/v2/owner/secret/manifests/latest",
  };
});

/** All that a response reveals, apart from its time. */
function exposed({ status, headers, bytes }: MirrorResponse): unknown {
  return [
    status,
    [...headers].sort(),
    new TextDecoder().decode(bytes).replace(/library\/\w+|owner\/\w+/g, "R"),
  ];
}

async function expectNothingOfIt(response: MirrorResponse, status: number, code: string): Promise<void> {
  expectRefused(response, status, code);
  expect(response.headers.get("Content-Length")).not.toBe(String(SECRET.byteLength));
  expect(await mirror.stored()).not.toContain(blobKey(hidden.digest));
}

fault(
  "private blob through a public repository",
  "through its own repository: the operator's login grants no client access",
  async () => {
    await expectNothingOfIt(await mirror.request(hidden.blob), 403, "DENIED");
    await expectNothingOfIt(
      await mirror.request(hidden.blob, { headers: { Range: "bytes=0-9" } }),
      403,
      "DENIED",
    );
    const sent = mirror.docker.requests.filter(({ headers }) => headers.authorization?.startsWith("Basic"));
    expect(sent).toEqual([]);
    expect(await mirror.runAlarm(hidden.digest)).toBe(false);
  },
);

fault(
  "private blob through a public repository",
  "through a public repository for which the login works",
  async () => {
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
    const path = `/v2/library/demo/blobs/${hidden.digest}`;
    await expectNothingOfIt(await mirror.request(path), 404, "BLOB_UNKNOWN");
    const aliased = `/v2/docker.io/library/demo/blobs/${hidden.digest}`;
    await expectNothingOfIt(await mirror.request(aliased), 404, "BLOB_UNKNOWN");
  },
);

fault(
  "private blob through a public repository",
  "when the check whether it is public fails: fetched anonymously",
  async () => {
    mirror.docker.fail({ method: "HEAD" }, { status: 500 });
    await expectNothingOfIt(await mirror.request(hidden.blob), 403, "DENIED");
  },
);

fault("private manifest by digest", "through its own repository", async () => {
  for (const path of [hidden.manifest, hidden.tag]) expectRefused(await mirror.request(path), 403, "DENIED");
  expect(await mirror.stored()).toEqual([]);
  expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
});

fault("private manifest by digest", "through a public repository", async () => {
  await pullAll(scene);
  const path = `/v2/library/demo/manifests/${secret.target.digest}`;
  expectRefused(await mirror.request(path), 404, "MANIFEST_UNKNOWN");
  const referrers = `/v2/owner/secret/referrers/${secret.target.digest}`;
  expectRefused(await mirror.request(referrers), 403, "DENIED");
});

fault("the same digest from two upstreams", "is stored once, from either upstream", async () => {
  await mirror.ghcr.addImage("owner/demo", "latest", { layers: [LAYER] });
  await expectWhole(await mirror.request(demo.blob));
  const response = await mirror.request(`/v2/ghcr.io/owner/demo/blobs/${demo.digest}`);
  await expectWhole(response);
  expect(cacheStatus(response)).toBe(WARM);
  expect(mirror.ghcr.requests).toEqual([]);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault(
  "the same digest from two upstreams",
  "wrong bytes from one don't affect pulls from the other",
  async () => {
    await mirror.ghcr.addImage("owner/demo", "latest", { layers: [LAYER] });
    mirror.docker.fail({ kind: "storage", method: "GET" }, behaviours.corrupted());
    await mirror.request(demo.blob);
    expect(await mirror.stored()).toEqual([]);
    await expectWhole(await mirror.request(`/v2/ghcr.io/owner/demo/blobs/${demo.digest}`));
    // The first client may still hold the lease; the right content is stored in either case.
    mirror.docker.clearFaults();
    await mirror.runAlarm(demo.digest);
    expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
  },
);

fault("the same digest from two upstreams", "a tag of one doesn't affect the other's", async () => {
  const other = await mirror.ghcr.addImage("library/demo", "latest", { layers: [SECRET] });
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  await expectWhole(await mirror.request(`/v2/ghcr.io${TAG.slice(3)}`), other.target.bytes);
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
});

fault(
  "access revoked, content cached",
  "by tag: denied, also by HEAD, and no new content is served",
  async () => {
    await pullAll(scene);
    later(scene, A_DAY);
    mirror.docker.setVisibility("library/demo", "private");
    expectRefused(await mirror.request(TAG), 403, "DENIED");
    expect((await mirror.request(TAG, { method: "HEAD" })).status).toBe(403);
    expectRefused(await mirror.request("/v2/library/demo/tags/list"), 403, "DENIED");
  },
);

fault("access revoked, content cached", "a layer not cached yet: denied, also with the login", async () => {
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  mirror.docker.setVisibility("library/demo", "private");
  mirror.clock.ahead += A_DAY;
  expectRefused(await mirror.request(demo.blob), 403, "DENIED");
  expect(await mirror.stored()).not.toContain(blobKey(demo.digest));
});

for (const kind of ["blob", "manifest", "tag"] as const) {
  fault("HEAD as an oracle", `private and missing content are indistinguishable: ${kind}`, async () => {
    const nowhere = {
      blob: `/v2/owner/nowhere/blobs/${hidden.digest}`,
      manifest: `/v2/owner/nowhere/manifests/${secret.target.digest}`,
      tag: "/v2/owner/nowhere/manifests/latest",
    };
    for (const method of ["HEAD", "GET"]) {
      const existing = await mirror.request(hidden[kind], { method });
      expect(existing.status).toBe(403);
      expect(exposed(existing)).toEqual(exposed(await mirror.request(nowhere[kind], { method })));
    }
  });
}

for (const [what, behaviour, status] of [
  ["404", { status: 404 }, 404],
  ["403", { status: 403 }, 403],
  ["429", behaviours.tooManyRequests(), 429],
  ["500", { status: 500 }, 503],
] as const) {
  fault("an error remembered across callers", what, async () => {
    mirror.docker.fail({ path: /^\/v2\//, authorized: true }, behaviour);
    for (const path of [TAG, demo.manifest, demo.blob, "/v2/library/demo/tags/list"]) {
      const response = await mirror.request(path, { headers: CLIENTS.crane.headers });
      expect([path, response.status, response.headers.get("Cache-Control")]).toEqual([
        path,
        status,
        "no-store",
      ]);
    }
    expect(await mirror.stored()).toEqual([]);
    mirror.docker.clearFaults();
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
    await expectWhole(await mirror.request(demo.manifest), demo.image.target.bytes);
    await expectWhole(await mirror.request(demo.blob));
    expect((await mirror.request("/v2/library/demo/tags/list")).status).toBe(200);
  });
}

fault(
  "an error remembered across callers",
  "one client's failing tag lookup doesn't make another's response stale",
  async () => {
    await pullAll(scene);
    later(scene);
    // The revalidation of the tag, the check that it is public, and the request itself.
    mirror.docker.fail({ kind: "manifest" }, { status: 500 }, 3);
    expectStale(await mirror.request(TAG), demo.image, 500);
    const next = await mirror.request(TAG);
    expect([next.status, next.headers.get("Warning")]).toEqual([200, null]);
  },
);

for (const [what, host, path] of [
  ["host before ns", "docker.example.com", `${TAG}?ns=ghcr.io`],
  ["path before ns", "mirror.test", `/v2/docker.io${TAG.slice(3)}?ns=ghcr.io`],
  ["path with v2 after it before ns", "mirror.test", `/docker.io${TAG}?ns=ghcr.io`],
  ["host before ns that is no upstream", "docker.example.com", `${TAG}?ns=evil.test`],
] as const) {
  fault("ns against host", what, async () => {
    await mirror.ghcr.addImage("library/demo", "latest", { layers: [SECRET] });
    const response = await mirror.request(path, { host });
    await expectWhole(response, demo.image.target.bytes);
    expect(response.headers.get("OCI-Namespace")).toBe(null);
    expect(mirror.ghcr.requests).toEqual([]);
    expect(mirror.network.strays).toEqual([]);
  });
}

fault("ns against host", "one client's ns doesn't affect the next client's pull", async () => {
  const other = await mirror.ghcr.addImage("library/demo", "latest", { layers: [SECRET] });
  await expectWhole(await mirror.request(`${TAG}?ns=ghcr.io`), other.target.bytes);
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
});

const UNLISTED = [
  "evil.test",
  "169.254.169.254",
  "localhost:8080",
  "ghcr.io.evil.test",
  "ghcr.io@evil.test",
  "ghcr.io/../evil.test",
  "https://ghcr.io",
  "GHCR.IO",
  "ghcr",
  "*.gcr.io",
  "x.y.gcr.io",
  "evil.test/.gcr.io",
  "__proto__",
  "",
];

fault("ns to an unlisted host", async () => {
  for (const ns of UNLISTED) {
    for (const path of ["manifests/latest", `blobs/${demo.digest}`, "tags/list"]) {
      const response = await mirror.request(`/v2/library/demo/${path}?ns=${encodeURIComponent(ns)}`);
      expect([ns, response.status]).toEqual([ns, 404]);
      expectRefused(response, 404, "NAME_UNKNOWN");
      expect(response.headers.get("OCI-Namespace")).toBe(null);
    }
  }
  expect(calls(mirror.docker)).toEqual([]);
  expect(mirror.network.strays).toEqual([]);
});
