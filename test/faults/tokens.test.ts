/** Token endpoints that are down, hostile or demand too much: no other host is requested, and no secret is sent. */
import { expect } from "vitest";
import { behaviours, type RecordedRequest } from "../support/fake-registry.ts";
import { heldFor } from "../support/held.ts";
import {
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

const scene = useFaults("tokens");
const { mirror, demo, fault } = scene;
const TOKEN = { kind: "token" } as const;
const GHCR = "/v2/ghcr.io/owner/demo/manifests/latest";

function authorizations(requests: readonly RecordedRequest[]): string[] {
  return requests.flatMap(({ headers }) => headers.authorization ?? []);
}

function tokenQueries(requests: readonly RecordedRequest[]): URLSearchParams[] {
  return requests.filter(({ kind }) => kind === "token").map(({ query }) => new URLSearchParams(query));
}

for (const [how, behaviour] of [
  ["broken", { network: true }],
  ["500", { status: 500 }],
  ["502", { status: 502 }],
  ["404", { status: 404 }],
  ["redirecting", behaviours.redirectTo("https://evil.test/token")],
  ["an HTML page", behaviours.htmlPage()],
  ["without a token", { status: 200, body: "{}" }],
  ["an invalid token", { status: 200, body: '{"token":"a b\\r\\nX: y"}' }],
] as const) {
  fault("endpoint down", `${how}, cached: stale`, async () => {
    await pullAll(scene);
    later(scene);
    mirror.docker.fail(TOKEN, behaviour);
    const response = await mirror.request(TAG);
    // A redirect to a forbidden target isn't followed.
    const isAnswer = "status" in behaviour && behaviour.status !== 200 && behaviour.status !== 307;
    const forwarded = isAnswer ? behaviour.status : null;
    expectStale(response, demo.image, forwarded);
    expect(mirror.docker.count(TOKEN)).toBeLessThanOrEqual(2);
    expect(mirror.network.strays).toEqual([]);
  });

  fault("endpoint down", `${how}, not cached: 503, and recovers with it`, async () => {
    mirror.docker.fail(TOKEN, behaviour);
    expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
    expect(await mirror.stored()).toEqual([]);
    mirror.recover();
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  });
}

for (const realm of [
  "https://evil.test/token",
  "http://auth.docker.io/token",
  "https://auth.docker.io.evil.test/token",
  "https://auth.docker.io@evil.test/token",
  "https://169.254.169.254/token",
  "http://localhost:8080/token",
  "//evil.test/token",
  "https://ghcr.io/token",
  "file:///etc/passwd",
  "nonsense:",
]) {
  fault("hostile realm", realm, async () => {
    mirror.docker.settings.realm = realm;
    expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
    expect(calls(mirror.docker)).toEqual(["GET manifest 401"]);
    expect(mirror.network.strays).toEqual([]);
    expect(mirror.ghcr.requests).toEqual([]);
    mirror.docker.settings.realm = null;
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  });
}

for (const realm of ["https://authn.nvidia.com/token", "https://evil.test/token"]) {
  fault("realm changes on expiry", realm, async () => {
    Object.assign(mirror.docker.settings, { realmAfterExpiry: realm, expiresIn: 300, tokenLifetime: 60 });
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
    mirror.clock.ahead += 61_000;
    calls(mirror.docker);
    await expectWhole(await mirror.request(demo.blob));
    // The old token is dropped, and so is the challenge that came with its refusal.
    expect(calls(mirror.docker)).toEqual([
      "GET blob 401",
      "GET blob 401",
      "GET token 200",
      "GET blob 307",
      "GET storage 200",
    ]);
    expect(mirror.network.strays).toEqual([]);
  });
}

fault("no service", async () => {
  mirror.docker.settings.service = null;
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  const [query] = tokenQueries(mirror.docker.requests);
  expect([...(query ?? [])]).toEqual([["scope", "repository:library/demo:pull"]]);
  expect(calls(mirror.docker)).toEqual(["GET manifest 401", "GET token 200", "GET manifest 200"]);
});

fault("access_token only", async () => {
  mirror.docker.settings.tokenField = "access_token";
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  await expectWhole(await mirror.request(demo.blob));
  expect(mirror.docker.count(TOKEN)).toBe(1);
});

for (const expiresIn of [null, 0, -1, -300]) {
  fault("no or negative expires_in", `${expiresIn}: valid for a minute, then requested again`, async () => {
    Object.assign(mirror.docker.settings, { expiresIn, tokenLifetime: 60 });
    for (const [ahead, tokens] of [
      [0, 1],
      [40_000, 0],
      [15_000, 1],
    ] as const) {
      mirror.clock.ahead += ahead;
      expect((await mirror.request(demo.blob, { method: "HEAD" })).status).toBe(200);
      expect(calls(mirror.docker).filter((call) => call === "GET token 200")).toHaveLength(tokens);
    }
  });
}

fault("expires mid-pull", async () => {
  Object.assign(mirror.docker.settings, { expiresIn: 300, tokenLifetime: 10 });
  await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  mirror.clock.ahead += 11_000;
  calls(mirror.docker);
  const response = await mirror.request(demo.blob);
  await expectWhole(response);
  expect(cacheStatus(response)).toContain("fwd-status=200");
  expect(calls(mirror.docker).filter((call) => call === "GET token 200")).toHaveLength(1);
});

fault("placeholder scope", async () => {
  const { target } = await mirror.ghcr.addImage("owner/demo", "latest");
  mirror.ghcr.fail(
    { kind: "manifest", authorized: false },
    behaviours.challenge("https://ghcr.io/token", {
      service: "ghcr.io",
      scope: "repository:user/image:pull,push",
    }),
    1,
  );
  await expectWhole(await mirror.request(GHCR), target.bytes);
  const scopes = tokenQueries(mirror.ghcr.requests).map((query) => query.getAll("scope"));
  expect(scopes).toEqual([["repository:owner/demo:pull"]]);
});

fault("token used for another repository", async () => {
  await mirror.docker.addImage("library/other", "latest");
  await mirror.ghcr.addImage("owner/demo", "latest");
  await mirror.request(TAG);
  const [first] = authorizations(mirror.docker.requests);
  calls(mirror.docker);
  expect((await mirror.request("/v2/library/other/manifests/latest")).status).toBe(200);
  expect((await mirror.request(GHCR)).status).toBe(200);
  expect(first).toMatch(/^Bearer token-registry-1-docker-io/);
  expect(authorizations(mirror.docker.requests)).not.toContain(first);
  for (const header of authorizations(mirror.ghcr.requests)) expect(header).toContain("token-ghcr-io");
});

fault("concurrent refresh", async () => {
  await mirror.request(TAG);
  mirror.clock.ahead += 301_000;
  calls(mirror.docker);
  const answers = await Promise.all(
    Array.from({ length: 30 }, () => mirror.request(demo.blob, { method: "HEAD" })),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
  expect(mirror.docker.count(TOKEN)).toBe(1);
  expect(mirror.docker.count({ status: 401 })).toBe(0);
});

fault(
  "concurrent refresh",
  "which fails: each client gets the error, and the endpoint is retried only while it may recover",
  async () => {
    mirror.docker.fail(TOKEN, heldFor(30));
    mirror.docker.fail(TOKEN, { status: 500 });
    const answers = await Promise.all(Array.from({ length: 30 }, () => mirror.request(TAG)));
    for (const response of answers) expectRefused(response, 503, "UNAVAILABLE");
    expect(mirror.docker.count(TOKEN)).toBeLessThanOrEqual(2);
  },
);

for (const Authorization of ["Basic dXNlcjpodW50ZXIy", "Bearer hunter2", "hunter2"]) {
  fault("a client's Authorization reaching upstream", Authorization, async () => {
    const headers = { Authorization, Cookie: "session=hunter2", "Proxy-Authorization": Authorization };
    const { target } = demo.image;
    const paths = [TAG, demo.manifest, demo.blob, "/v2/library/demo/tags/list"];
    for (const path of [...paths, `/v2/library/demo/referrers/${target.digest}`, "/v2/"]) {
      const response = await mirror.request(path, { headers });
      expect([path, response.status]).toEqual([path, 200]);
      expect(response.headers.get("WWW-Authenticate")).toBe(null);
    }
    const sent = JSON.stringify([...mirror.docker.requests, ...mirror.ghcr.requests]);
    for (const secret of ["hunter2", "dXNlcjpodW50ZXIy"]) expect(sent).not.toContain(secret);
  });
}

fault(
  "token endpoint 429",
  "not cached: the limit is reported, and the endpoint gets no request until it ends",
  async () => {
    mirror.docker.fail(TOKEN, behaviours.tooManyRequests(60));
    for (const tokens of [1, 0]) {
      const response = await mirror.request(TAG);
      expectRefused(response, 429, "TOOMANYREQUESTS");
      expect(Number(response.headers.get("Retry-After"))).toBeGreaterThan(50);
      expect(calls(mirror.docker).filter((call) => call === "GET token 429")).toHaveLength(tokens);
    }
    mirror.docker.clearFaults();
    mirror.clock.ahead += 61_000;
    await expectWhole(await mirror.request(TAG), demo.image.target.bytes);
  },
);

fault("token endpoint 429", "cached: stale", async () => {
  await pullAll(scene);
  later(scene);
  mirror.docker.fail(TOKEN, behaviours.tooManyRequests(60));
  expectStale(await mirror.request(TAG), demo.image, 429);
  await expectWhole(await mirror.request(demo.blob));
});
