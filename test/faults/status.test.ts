/** Upstreams that response with an error, or not at all: cached content is served stale where that is permitted. */
import { beforeEach, expect } from "vitest";
import { behaviours, patternBytes } from "../support/fake-registry.ts";
import {
  blobKey,
  CLIENTS,
  cacheStatus,
  calls,
  expectRefused,
  expectStale,
  expectWhole,
  later,
  pullAll,
  TAG,
  useFaults,
} from "./support.ts";

const scene = useFaults("status");
const { mirror, demo, fault } = scene;
const MANIFEST = { kind: "manifest" } as const;
/** The status each client gets when nothing is cached, by what it requests; see src/pull/client-error.ts. */
const STATUS = {
  containerd: { tag: 503, blob: 503, limited: { tag: 503, blob: 503 } },
  dockerd: { tag: 503, blob: 429, limited: { tag: 503, blob: 429 } },
  podman: { tag: 503, blob: 503, limited: { tag: 503, blob: 503 } },
  crane: { tag: 503, blob: 503, limited: { tag: 429, blob: 429 } },
};

beforeEach(() => {
  mirror.docker.settings.auth = "none";
});

async function askAs(client: keyof typeof CLIENTS, path: string) {
  const { headers, search } = CLIENTS[client];
  return mirror.request(path + search, { headers });
}

fault("500", "cached: stale, after a HEAD and the GET that may work where HEAD fails", async () => {
  await pullAll(scene);
  later(scene);
  mirror.docker.fail(MANIFEST, { status: 500 });
  expectStale(await mirror.request(TAG), demo.image, 500);
  expect(calls(mirror.docker)).toEqual(["HEAD manifest 500", "GET manifest 500"]);
  // Content by digest is served without an upstream request.
  await expectWhole(await mirror.request(demo.blob));
  expect(calls(mirror.docker)).toEqual([]);
});

for (const status of [403, 404, 500]) {
  fault(
    "HEAD 405",
    `HEAD ${status} where GET works: a tag that has moved is served as it is now`,
    async () => {
      await pullAll(scene);
      later(scene);
      const moved = await mirror.docker.addImage("library/demo", "latest", {
        layers: [patternBytes(1_000, 9)],
      });
      mirror.docker.fail({ kind: "manifest", method: "HEAD" }, { status });
      await expectWhole(await mirror.request(TAG), moved.target.bytes);
      later(scene);
      const head = await mirror.request(TAG, { method: "HEAD" });
      expect([head.status, head.headers.get("Docker-Content-Digest")]).toEqual([200, moved.target.digest]);
    },
  );
}

for (const client of ["containerd", "dockerd", "podman", "crane"] as const) {
  fault("500", `not cached: the status that ${client} handles best`, async () => {
    mirror.docker.fail({}, { status: 500 });
    expectRefused(await askAs(client, TAG), STATUS[client].tag, "UNAVAILABLE");
    expect(calls(mirror.docker)).toEqual(["GET manifest 500"]);
    expectRefused(await askAs(client, demo.blob), STATUS[client].blob, "UNAVAILABLE");
    expect(calls(mirror.docker)).toEqual(["GET blob 500"]);
    // Content by digest is verifiable, so the fallback is tried too; only the primary resolves tags.
    expect(new Set(mirror.network.strays)).toEqual(new Set(["mirror.gcr.io"]));
    expect(await mirror.stored()).toEqual([]);
  });
}

for (const status of [502, 503, 504]) {
  fault("503, then success", `${status} once isn't seen by the client`, async () => {
    mirror.docker.fail(MANIFEST, { status }, 1);
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
    expect(calls(mirror.docker)).toEqual([`GET manifest ${status}`, "GET manifest 200"]);
    mirror.docker.fail({ kind: "storage" }, { status }, 1);
    await expectWhole(await mirror.request(demo.blob));
    expect(await mirror.stored()).toContain(blobKey(demo.digest));
  });
}

for (const method of ["GET", "HEAD"]) {
  fault(
    "429 + Retry-After, cached",
    `${method}: stale, without upstream requests until the limit ends`,
    async () => {
      await pullAll(scene);
      later(scene);
      mirror.docker.fail(MANIFEST, behaviours.tooManyRequests(60));
      for (const requested of [["HEAD manifest 429"], []]) {
        const response = await mirror.request(TAG, { method });
        if (method === "GET") expectStale(response, demo.image, 429);
        expect([response.status, cacheStatus(response)]).toEqual([
          200,
          expect.stringContaining("detail=stale"),
        ]);
        expect(calls(mirror.docker)).toEqual(requested);
      }
      mirror.docker.clearFaults();
      mirror.clock.ahead += 61_000;
      const fresh = await mirror.request(TAG, { method });
      expect([fresh.status, fresh.headers.get("Warning")]).toEqual([200, null]);
      expect(calls(mirror.docker)).toEqual(["HEAD manifest 200"]);
    },
  );
}

fault("429 + Retry-After, cached", "a limit on manifests doesn't affect blobs", async () => {
  mirror.docker.fail(MANIFEST, behaviours.tooManyRequests(60));
  await mirror.request(TAG);
  await expectWhole(await mirror.request(demo.blob));
});

for (const client of ["containerd", "dockerd", "podman", "crane"] as const) {
  fault("429 + Retry-After, not cached: never a 404", `the status that ${client} handles best`, async () => {
    mirror.docker.fail({}, behaviours.tooManyRequests(60));
    const { limited } = STATUS[client];
    for (const requested of [["GET manifest 429"], []]) {
      const response = await askAs(client, TAG);
      expectRefused(response, limited.tag, "TOOMANYREQUESTS");
      expect(Number(response.headers.get("Retry-After"))).toBeGreaterThan(50);
      expect(calls(mirror.docker)).toEqual(requested);
    }
    for (const requested of [["GET blob 429"], []]) {
      const response = await askAs(client, demo.blob);
      expectRefused(response, limited.blob, "TOOMANYREQUESTS");
      expect(Number(response.headers.get("Retry-After"))).toBeGreaterThan(50);
      expect(calls(mirror.docker)).toEqual(requested);
    }
    expect(await mirror.stored()).toEqual([]);
    mirror.docker.clearFaults();
    mirror.clock.ahead += 61_000;
    await expectWhole(await askAs(client, TAG), demo.image.target.bytes);
    await expectWhole(await askAs(client, demo.blob));
  });
}

fault(
  "abuse 429 without Retry-After",
  "not cached: Retry-After is sent, and the next client causes a new attempt",
  async () => {
    mirror.docker.fail({}, behaviours.tooManyRequests());
    for (const path of [TAG, demo.blob]) {
      for (let round = 0; round < 2; round++) {
        const response = await mirror.request(path);
        expectRefused(response, 429, "TOOMANYREQUESTS");
        expect(response.headers.get("Retry-After")).toBe("60");
        // Its duration is unknown: only a request can tell, and one per client request is enough.
        expect(calls(mirror.docker)).toHaveLength(1);
      }
    }
    expect(await mirror.stored()).toEqual([]);
  },
);

fault("abuse 429 without Retry-After", "cached: stale", async () => {
  await pullAll(scene);
  later(scene);
  mirror.docker.fail(MANIFEST, behaviours.tooManyRequests());
  expectStale(await mirror.request(TAG), demo.image, 429);
  expect(calls(mirror.docker)).toEqual(["HEAD manifest 429"]);
});

for (const method of ["GET", "HEAD"]) {
  fault(
    "404 for a cached tag",
    `${method}: the record is removed, so it is never served stale later`,
    async () => {
      await pullAll(scene);
      later(scene);
      mirror.docker.removeTag("library/demo", "latest");
      const gone = await mirror.request(TAG, { method });
      expect(gone.status).toBe(404);
      if (method === "GET") expectRefused(gone, 404, "MANIFEST_UNKNOWN");
      expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
      mirror.docker.fail(MANIFEST, { status: 500 });
      expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
      // The tag's content stays: it may be pulled by digest.
      await expectWhole(await mirror.request(demo.manifest), demo.image.target.bytes);
    },
  );
}

fault("403 after a repository went private", "denied, never stale", async () => {
  mirror.docker.settings.auth = "bearer";
  await pullAll(scene);
  later(scene);
  mirror.docker.setVisibility("library/demo", "private");
  const response = await mirror.request(TAG);
  expectRefused(response, 403, "DENIED");
  expect(cacheStatus(response)).toBe(null);
  expect(mirror.docker.requests.every(({ status, kind }) => kind === "token" || status === 401)).toBe(true);
});

fault(
  "403 after a repository went private",
  "it isn't served stale in an outage after the denial",
  async () => {
    await pullAll(scene);
    later(scene);
    mirror.docker.fail(MANIFEST, { status: 403 }, 2);
    expectRefused(await mirror.request(TAG), 403, "DENIED");
    later(scene);
    mirror.docker.fail(MANIFEST, { status: 500 });
    expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
  },
);

for (const status of [401, 403]) {
  fault("403 after a repository went private", `upstream's ${status} is reported at once`, async () => {
    await pullAll(scene);
    later(scene);
    mirror.docker.fail(MANIFEST, { status });
    expectRefused(await mirror.request(TAG), 403, "DENIED");
    expect(calls(mirror.docker).length).toBeLessThanOrEqual(2);
  });
}

fault("401 in a loop", async () => {
  mirror.docker.settings.auth = "bearer";
  const realm = "https://auth.docker.io/token";
  mirror.docker.fail({ kind: "blob" }, behaviours.challenge(realm, { service: "registry.docker.io" }));
  mirror.docker.fail(MANIFEST, behaviours.challenge(realm, { service: "registry.docker.io" }));
  for (const path of [TAG, demo.manifest, demo.blob]) {
    expectRefused(await mirror.request(path), 403, "DENIED");
    expect(calls(mirror.docker).length).toBeLessThanOrEqual(5);
  }
  expect(await mirror.stored()).toEqual([]);
});

fault("DNS, TLS, refused", "cached: stale, and blobs as usual", async () => {
  await pullAll(scene);
  later(scene);
  mirror.docker.fail({}, { network: true });
  expectStale(await mirror.request(TAG), demo.image, null);
  await expectWhole(await mirror.request(demo.blob));
  // One retry, since the failure may be momentary.
  expect(calls(mirror.docker)).toEqual(["HEAD manifest 0", "HEAD manifest 0"]);
});

fault(
  "DNS, TLS, refused",
  "after three in a row and a failed ping, upstream gets no request for five seconds",
  async () => {
    mirror.docker.fail({}, { network: true });
    for (let round = 0; round < 3; round++) {
      expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
      expect(calls(mirror.docker).slice(0, 2)).toEqual(["GET manifest 0", "GET manifest 0"]);
    }
    const rested = await mirror.request(TAG);
    expectRefused(rested, 503, "UNAVAILABLE");
    expect(Number(rested.headers.get("Retry-After"))).toBeLessThanOrEqual(5);
    expect(calls(mirror.docker)).toEqual([]);
    mirror.docker.clearFaults();
    mirror.clock.ahead += 5_000;
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
    expect(calls(mirror.docker)).toEqual(["GET ping 200", "GET manifest 200"]);
  },
);

fault(
  "DNS, TLS, refused",
  "of one repository or of the storage: the others are served as usual",
  async () => {
    mirror.docker.fail({ path: /library\/demo/ }, { network: true });
    mirror.docker.fail({ kind: "storage" }, { network: true });
    for (let round = 0; round < 8; round++) expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
    const other = await mirror.docker.addImage("library/other", "latest");
    await expectWhole(await mirror.request("/v2/library/other/manifests/latest"), other.target.bytes);
  },
);

fault("tag 200, digest gone", "and the tag still has it: one GET of the tag", async () => {
  expect((await mirror.request(TAG, { method: "HEAD" })).status).toBe(200);
  mirror.docker.fail({ kind: "manifest", path: /sha256:/ }, { status: 404 });
  calls(mirror.docker);
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  expect(calls(mirror.docker)).toEqual(["GET manifest 404", "GET manifest 200"]);
});

fault(
  "tag 200, digest gone",
  "not available anywhere: 404, which lets the client try another source, and no record",
  async () => {
    expect((await mirror.request(TAG, { method: "HEAD" })).status).toBe(200);
    mirror.docker.fail({ kind: "manifest", method: "GET" }, { status: 404 });
    expectRefused(await mirror.request(TAG), 404, "MANIFEST_UNKNOWN");
    expect((await mirror.bindings.TAGS.list()).keys).toEqual([]);
    expect(await mirror.stored()).toEqual([]);
  },
);

fault("HEAD 405", "of a tag: by GET instead", async () => {
  mirror.docker.fail({ kind: "manifest", method: "HEAD" }, { status: 405 });
  const head = await mirror.request(TAG, { method: "HEAD" });
  expect([head.status, head.headers.get("Content-Length")]).toEqual([200, String(demo.image.target.size)]);
  expect(head.headers.get("Docker-Content-Digest")).toBe(demo.image.target.digest);
  expect(calls(mirror.docker)).toEqual(["HEAD manifest 405", "GET manifest 200"]);
  later(scene);
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  expect(calls(mirror.docker)).toEqual(["HEAD manifest 405", "GET manifest 200"]);
});

fault("HEAD 405", "of a manifest by digest: by GET instead", async () => {
  mirror.docker.fail({ kind: "manifest", method: "HEAD" }, { status: 405 });
  const head = await mirror.request(demo.manifest, { method: "HEAD" });
  expect([head.status, head.headers.get("Content-Length")]).toEqual([200, String(demo.image.target.size)]);
});

fault("HEAD 405", "of a blob: by a GET whose body is discarded", async () => {
  mirror.docker.fail({ kind: "blob", method: "HEAD" }, { status: 405 });
  const head = await mirror.request(demo.blob, { method: "HEAD" });
  expect([head.status, head.headers.get("Content-Length")]).toEqual([200, "300000"]);
  await expectWhole(await mirror.request(demo.blob));
});
