/** Malformed, hostile and unusual requests: rejected before any upstream request, or answered correctly. */
import { beforeEach, expect } from "vitest";
import {
  blobKey,
  COLD,
  cacheStatus,
  expectRefused,
  expectWhole,
  LAYER,
  manifestKey,
  TAG,
  useFaults,
  WARM,
} from "./support.ts";

const { mirror, demo, fault } = useFaults("input");

beforeEach(() => {
  mirror.docker.settings.auth = "none";
});

/** No upstream request was made, and nothing was stored. */
async function expectNoTrace(): Promise<void> {
  expect(mirror.docker.requests).toEqual([]);
  expect(mirror.ghcr.requests).toEqual([]);
  expect(mirror.network.strays).toEqual([]);
  expect(await mirror.stored()).toEqual([]);
  expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
}

/** One test for paths that are rejected with the same error. */
function refuses(
  number: Parameters<typeof fault>[0],
  code: string,
  paths: readonly string[],
  status = 400,
): void {
  fault(number, `${code} for ${paths.length} paths, without an upstream request`, async () => {
    for (const path of paths) {
      const shown = path.slice(0, 100);
      const response = await mirror.request(path);
      expect([shown, response.status]).toEqual([shown, status]);
      expectRefused(response, status, code);
      expect([shown, (await mirror.request(path, { method: "HEAD" })).status]).toEqual([shown, status]);
    }
    await expectNoTrace();
  });
}

refuses("dots and slashes, plain and encoded", "NAME_INVALID", [
  "/v2/library%2Fdemo/manifests/latest",
  "/v2/library/demo%2F..%2Fother/manifests/latest",
  "/v2/library/%252e%252e/manifests/latest",
  "/v2/library//demo/manifests/latest",
  "/v2//library/demo/manifests/latest",
  "/v2/library/demo//manifests/latest",
  "/v2/library/.demo/manifests/latest",
  "/v2/library/demo./manifests/latest",
  "/v2/ghcr.io//demo/manifests/latest",
]);
refuses(
  "dots and slashes, plain and encoded",
  "MANIFEST_UNKNOWN",
  [
    "/v2/library/demo/manifests/%2e%2e%2fblobs",
    "/v2/library/demo/manifests/latest%2F..",
    "/v2/library/demo/manifests/.latest",
  ],
  404,
);

for (const path of [
  "/v2/other/../library/demo/manifests/latest",
  "/v2/other/%2e%2e/library/demo/manifests/latest",
  "/v2/./library/demo/manifests/latest",
  "/v2/../v2/library/demo/manifests/latest",
  "/v2/library\\..\\demo/manifests/latest",
]) {
  fault(
    "dots and slashes, plain and encoded",
    `${path} is normalised, and reaches nothing but the repository`,
    async () => {
      await expectWhole(await mirror.request(path), demo.image.target.bytes);
      expect(new Set(mirror.docker.requests.map((request) => request.path))).toEqual(
        new Set(["/v2/library/demo/manifests/latest"]),
      );
    },
  );
}

refuses("upper case", "NAME_INVALID", [
  "/v2/library/Demo/manifests/latest",
  "/v2/LIBRARY/demo/manifests/latest",
  "/v2/ghcr.io/Owner/image/tags/list",
]);
refuses("upper case", "DIGEST_INVALID", [
  `/v2/library/demo/blobs/sha256:${"A1".repeat(32)}`,
  `/v2/library/demo/blobs/SHA256:${"a1".repeat(32)}`,
  `/v2/library/demo/manifests/sha256:${"A1".repeat(32)}`,
]);

fault("upper case", "in a tag names another tag", async () => {
  mirror.docker.moveTag("library/demo", "Latest", demo.image.target.digest);
  await expectWhole(await mirror.request(TAG.replace("latest", "Latest")), demo.image.target.bytes);
  expectRefused(await mirror.request(TAG.replace("latest", "LATEST")), 404, "MANIFEST_UNKNOWN");
});

refuses("Unicode, NUL", "NAME_INVALID", [
  "/v2/library/démo/manifests/latest",
  "/v2/library/d%C3%A9mo/manifests/latest",
  "/v2/library/dem%00o/manifests/latest",
  "/v2/library/ｄemo/manifests/latest",
  "/v2/library/demo%E2%80%AE/tags/list",
  "/v2/library/dem%FFo/manifests/latest",
]);
refuses(
  "Unicode, NUL",
  "MANIFEST_UNKNOWN",
  ["/v2/library/demo/manifests/latest%00", "/v2/library/demo/manifests/l%C3%A4test"],
  404,
);
refuses("Unicode, NUL", "DIGEST_INVALID", [`/v2/library/demo/blobs/sha256:${"a1".repeat(31)}a%00`]);

const fullName = `library/${"a".repeat(255 - "docker.io/library/".length)}`;
refuses("256-character name", "NAME_INVALID", [
  `/v2/${fullName}a/manifests/latest`,
  `/v2/ghcr.io/o/${"a".repeat(254)}/manifests/latest`,
  `/v2/${"a/".repeat(1000)}a/manifests/latest`,
]);
fault("256-character name", "one character less is pulled", async () => {
  const { target } = await mirror.docker.addImage(fullName, "latest");
  await expectWhole(await mirror.request(`/v2/${fullName}/manifests/latest`), target.bytes);
});

refuses("129-character tag", "MANIFEST_UNKNOWN", [`/v2/library/demo/manifests/${"a".repeat(129)}`], 404);
fault("129-character tag", "one character less is pulled", async () => {
  mirror.docker.moveTag("library/demo", "a".repeat(128), demo.image.target.digest);
  await expectWhole(await mirror.request(TAG.replace("latest", "a".repeat(128))), demo.image.target.bytes);
});

fault("sha512", "a blob", async () => {
  const { digest } = await mirror.docker.addBlob(LAYER, { algorithm: "sha512", repository: "library/demo" });
  for (const status of [COLD, WARM]) {
    const response = await mirror.request(`/v2/library/demo/blobs/${digest}`);
    await expectWhole(response);
    expect([cacheStatus(response), response.headers.get("Docker-Content-Digest")]).toEqual([status, digest]);
  }
  expect(await mirror.stored()).toEqual([blobKey(digest)]);
  expect(blobKey(digest)).toContain("blobs/sha512/");
});

fault("sha512", "a manifest, by digest and by tag", async () => {
  const manifest = await mirror.docker.addManifest(
    "library/demo",
    { schemaVersion: 2, mediaType: demo.image.target.mediaType, layers: [] },
    { algorithm: "sha512", tag: "long" },
  );
  for (const reference of [manifest.digest, "long"]) {
    const response = await mirror.request(`/v2/library/demo/manifests/${reference}`);
    await expectWhole(response, manifest.bytes);
    expect(response.headers.get("Docker-Content-Digest")).toBe(manifest.digest);
  }
  expect(await mirror.stored()).toEqual([manifestKey(manifest.digest)]);
});

const hex = "a1".repeat(32);
const wrongDigests = [
  `sha256:${hex.slice(1)}`,
  `sha256:${hex}0`,
  "sha256:",
  `sha512:${hex}`,
  `md5:${hex.slice(0, 32)}`,
  `sha1:${hex.slice(0, 40)}`,
  `blake3:${hex}`,
  `sha256:${"g".repeat(64)}`,
  `sha256+b64:${hex}`,
];
refuses(
  "short or unknown digest",
  "DIGEST_INVALID",
  wrongDigests.flatMap((digest) =>
    ["blobs", "manifests", "referrers"].map((kind) => `/v2/library/demo/${kind}/${digest}`),
  ),
);
refuses("short or unknown digest", "DIGEST_INVALID", [
  `/v2/library/demo/blobs/${hex}`,
  "/v2/library/demo/blobs/latest",
]);

refuses("CRLF", "NAME_INVALID", [
  "/v2/library/demo%0d%0aX-Evil:%20yes/manifests/latest",
  "/v2/library%0Ademo/tags/list",
]);
refuses("CRLF", "MANIFEST_UNKNOWN", ["/v2/library/demo/manifests/latest%0d%0aX-Evil%20yes"], 404);
refuses("CRLF", "NAME_UNKNOWN", [`${TAG}?ns=ghcr.io%0d%0aX-Evil:%20yes`], 404);

fault("CRLF", "in a listing's paging parameters: none of it becomes a header", async () => {
  for (const tag of ["a", "b"]) mirror.docker.moveTag("library/demo", tag, demo.image.target.digest);
  const response = await mirror.request("/v2/library/demo/tags/list?n=1&last=%0d%0aX-Evil:%20yes");
  expect(response.headers.get("X-Evil")).toBe(null);
  for (const request of mirror.docker.requests) expect(request.headers["x-evil"]).toBe(undefined);
});

fault("X-Forwarded-* poisoning", async () => {
  for (const tag of ["a", "b"]) mirror.docker.moveTag("library/demo", tag, demo.image.target.digest);
  const headers = {
    "X-Forwarded-Host": "evil.test",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-For": "10.66.66.66",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Port": "666",
    Forwarded: "for=10.66.66.66;host=evil.test;proto=http",
    "X-Original-URL": "/v2/library/evil/manifests/latest",
    "X-Rewrite-URL": "/v2/library/evil/manifests/latest",
    "X-HTTP-Method-Override": "DELETE",
    "X-Real-IP": "10.66.66.66",
  };
  for (const path of [TAG, "/v2/library/demo/tags/list?n=1", demo.blob, demo.blob]) {
    const response = await mirror.request(path, { headers });
    expect([path, response.status]).toEqual([path, 200]);
    expect(JSON.stringify([...response.headers])).not.toMatch(/evil|666|10\.66/);
  }
  const paged = await mirror.request("/v2/library/demo/tags/list?n=1", { headers });
  expect(paged.headers.get("Link")).toBe('</v2/library/demo/tags/list?n=1&last=a>; rel="next"');
  expect(JSON.stringify(mirror.docker.requests)).not.toMatch(/evil|10\.66|x-forwarded|x-original/i);
  expect(mirror.network.strays).toEqual([]);
});

for (const repository of [
  "blobs",
  "manifests",
  "tags",
  "referrers",
  "v2",
  "manifests/blobs",
  "a/manifests/latest",
  "a/blobs/b",
]) {
  fault("repository named blobs or manifests", repository, async () => {
    const image = await mirror.docker.addImage(
      repository.includes("/") ? repository : `library/${repository}`,
      "latest",
      { layers: [LAYER] },
    );
    const path = `/v2/${repository}`;
    await expectWhole(await mirror.request(`${path}/manifests/latest`), image.target.bytes);
    await expectWhole(await mirror.request(`${path}/manifests/${image.target.digest}`), image.target.bytes);
    await expectWhole(await mirror.request(`${path}/blobs/${demo.digest}`));
    const { tags } = (await mirror.request(`${path}/tags/list`)).json();
    expect(tags).toEqual(["latest"]);
  });
}

fault("huge query", "is ignored, and isn't sent upstream", async () => {
  const query = `?x=${"y".repeat(2_000)}&${"z&".repeat(900)}last=`;
  for (const path of [TAG, demo.manifest, demo.blob, "/v2/library/demo/tags/list"]) {
    const response = await mirror.request(path + query);
    expect([path, response.status]).toEqual([path, 200]);
    expect([...response.headers].join().length).toBeLessThan(2_000);
  }
  for (const request of mirror.docker.requests) {
    if (request.kind !== "storage") expect(request.query.length).toBeLessThan(20);
  }
});

refuses("huge query", "UNSUPPORTED", [`${TAG}?x=${"y".repeat(4096)}`, `/?${"z&".repeat(10_000)}`], 414);

fault("huge query", "huge headers", async () => {
  const headers = { "X-Long": "y".repeat(16 * 1024) };
  for (const path of [TAG, demo.blob, "/v2/"]) {
    expectRefused(await mirror.request(path, { headers }), 431, "UNSUPPORTED");
  }
  await expectNoTrace();
});

fault("two scope parameters", "of a pull: both are ignored and not sent upstream", async () => {
  mirror.docker.settings.auth = "bearer";
  const query = "?scope=repository:library/other:push&scope=repository:library/demo:pull";
  for (const path of [TAG, demo.blob, "/v2/"]) expect((await mirror.request(path + query)).status).toBe(200);
  const scopes = mirror.docker.requests
    .filter(({ kind }) => kind === "token")
    .map((request) => new URLSearchParams(request.query).getAll("scope"));
  expect(scopes).toEqual([["repository:library/demo:pull"]]);
});

fault("Basic Og==", async () => {
  const headers = { Authorization: "Basic Og==" };
  const ping = await mirror.request("/v2/", { headers });
  expect([ping.status, ping.headers.get("WWW-Authenticate")]).toEqual([200, null]);
  mirror.docker.settings.auth = "bearer";
  await expectWhole(await mirror.request(TAG, { headers }), demo.image.target.bytes);
  await expectWhole(await mirror.request(demo.blob, { headers }));
  expect(JSON.stringify(mirror.docker.requests)).not.toContain("Og==");
});
