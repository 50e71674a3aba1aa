/** Isolation of clients, repositories and upstreams behind keys: with a key, a narrow key, no key, or a login. */
import { beforeEach, expect } from "vitest";
import { hashKey } from "../../src/access/keys.ts";
import { basic, bearer, EXPIRED, KEY, KEYED, NARROW, SLOW, UNKNOWN } from "../access/keyed.ts";
import { type Image, patternBytes } from "../support/fake-registry.ts";
import type { MirrorResponse } from "../support/mirror.ts";
import { blobKey, cacheStatus, expectRefused, expectWhole, TAG, useFaults, WARM } from "./support.ts";

const OWNER = { username: "owner", password: "hunter2" };
const ALICE = { username: "alice", password: "wonderland", repositories: ["alice/secret"] };
const BOB = { username: "bob", password: "builder", repositories: [] };
const LOGIN_HOST = `ghcr-${KEY}.example.com`;
const { mirror, demo, fault } = useFaults("isolation", {
  vars: {
    ...KEYED,
    PRIVATE: ["docker.io/owner/*"],
    UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
    UPSTREAMS: { "ghcr.io": { login: true } },
  },
});
const SECRET = patternBytes(1000, 99);
let secret: Image;
let hidden: { digest: string; blob: string; manifest: string; tag: string; tags: string; referrers: string };
/** Headers without access: no key, an invalid key, a key that doesn't permit the repository. */
const OTHERS = [{}, basic(UNKNOWN), basic(EXPIRED), basic(NARROW)];

beforeEach(async () => {
  mirror.docker.settings.credentials = [OWNER];
  mirror.ghcr.settings.credentials = [ALICE, BOB];
  secret = await mirror.docker.addImage("owner/secret", "latest", { layers: [SECRET] });
  mirror.docker.setVisibility("owner/secret", "private");
  const digest = secret.layers[0]?.digest ?? "";
  const path = "/v2/owner/secret";
  hidden = {
    digest,
    blob: `${path}/blobs/${digest}`,
    manifest: `${path}/manifests/${secret.target.digest}`,
    tag: `${path}/manifests/latest`,
    tags: `${path}/tags/list`,
    referrers: `${path}/referrers/${secret.target.digest}`,
  };
});

const pull = (path: string, init: RequestInit & { host?: string } = {}): Promise<MirrorResponse> =>
  mirror.request(path, { ...init, headers: { ...basic(KEY), ...init.headers } });

const refused = async (path: string, headers: Record<string, string>): Promise<void> => {
  for (const init of [{}, { method: "HEAD" }, { headers: { Range: "bytes=0-9" } }]) {
    const response = await mirror.request(path, { ...init, headers: { ...headers, ...init.headers } });
    expect([401, 403, 404]).toContain(response.status);
    expect(response.bytes.byteLength).toBeLessThan(SECRET.byteLength);
    for (const name of ["Docker-Content-Digest", "ETag", "Content-Range", "Cache-Status"]) {
      expect([name, response.headers.get(name)]).toEqual([name, null]);
    }
  }
};

for (const isCached of [false, true]) {
  const when = isCached ? "cached" : "not cached";
  fault(
    "private blob through a public repository",
    `behind keys, ${when}: refused through other repositories, and to keys that don't permit its own`,
    async () => {
      if (isCached) await expectWhole(await pull(hidden.blob), SECRET);
      for (const headers of OTHERS) await refused(hidden.blob, headers);
      for (const name of [
        "library/demo",
        "owner/nowhere",
        "ghcr.io/owner/secret",
        "docker.io/library/demo",
      ]) {
        await refused(`/v2/${name}/blobs/${hidden.digest}`, basic(KEY));
      }
      await mirror.runAlarm(hidden.digest);
      expect(await mirror.stored()).not.toContain(blobKey(hidden.digest));
    },
  );

  fault(
    "private manifest by digest",
    `behind keys, ${when}: refused by digest, tag, tags list and referrers`,
    async () => {
      if (isCached)
        for (const path of [hidden.tag, hidden.manifest]) expect((await pull(path)).status).toBe(200);
      for (const headers of OTHERS) {
        for (const path of [hidden.manifest, hidden.tag, hidden.tags, hidden.referrers])
          await refused(path, headers);
      }
      for (const name of ["library/demo", "owner/nowhere", "ghcr.io/owner/secret"]) {
        await refused(`/v2/${name}/manifests/${secret.target.digest}`, basic(KEY));
      }
    },
  );
}

fault(
  "the same digest from two upstreams",
  "private at one, public at the other: access is checked at each",
  async () => {
    await expectWhole(await pull(hidden.blob), SECRET);
    const open = `/v2/ghcr.io/open/image/blobs/${hidden.digest}`;
    await refused(open, basic(KEY));
    await mirror.ghcr.addImage("open/image", "latest", { layers: [SECRET] });
    mirror.clock.ahead += 20 * 60_000;
    const response = await pull(open);
    await expectWhole(response, SECRET);
    expect(cacheStatus(response)).toContain("detail=upstream");
    expect(mirror.ghcr.count({ kind: "storage", method: "GET" })).toBe(1);
    // Now it is stored as public, and requests for the private repository are served from the same copy.
    expect(await mirror.stored()).toContain(blobKey(hidden.digest));
    expect(cacheStatus(await pull(hidden.blob))).toBe(WARM);
    for (const headers of OTHERS) await refused(hidden.blob, headers);
  },
);

fault(
  "access revoked, content cached",
  "a key removed from the list is refused at once, and so are its tokens",
  async () => {
    await expectWhole(await pull(hidden.blob), SECRET);
    const { token, refresh_token } = (
      await mirror.request("/_/token?offline_token=true", { headers: basic(KEY) })
    ).json();
    expect((await mirror.request(hidden.blob, { headers: bearer(token) })).status).toBe(200);
    const left = [{ name: "other", hash: await hashKey(UNKNOWN) }];
    Object.assign(mirror.bindings, { ACCESS_KEYS: JSON.stringify(left) });
    mirror.newIsolate();
    for (const headers of [basic(KEY), bearer(KEY), bearer(token)]) {
      for (const path of [hidden.blob, hidden.tag, TAG, "/v2/"]) await refused(path, headers);
    }
    for (const path of [`/${KEY}${TAG}`, `/${KEY}${hidden.blob}`]) await refused(path, {});
    const renewal = new URLSearchParams({
      grant_type: "refresh_token",
      refresh_token: String(refresh_token),
    });
    expect((await mirror.request("/_/token", { method: "POST", body: renewal })).status).toBe(401);
    expect((await mirror.request("/_/token", { headers: basic(KEY) })).status).toBe(401);
  },
);

fault("access revoked, content cached", "a pattern removed from PRIVATE", async () => {
  for (const path of [hidden.blob, hidden.tag]) expect((await pull(path)).status).toBe(200);
  Object.assign(mirror.bindings, { PRIVATE: ["docker.io/owner/other"] });
  mirror.newIsolate();
  for (const path of [hidden.blob, hidden.tag, hidden.manifest]) await refused(path, basic(KEY));
  mirror.docker.fail({ path: /./ }, { status: 503 });
  for (const path of [hidden.blob, hidden.tag, hidden.manifest]) expect((await pull(path)).status).toBe(503);
});

fault(
  "access revoked, content cached",
  "a user whose login lost access, while upstream is down as well",
  async () => {
    await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
    mirror.ghcr.setVisibility("alice/secret", "private");
    mirror.ghcr.settings.auth = "basic";
    const path = `/v2/alice/secret/blobs/${hidden.digest}`;
    const asAlice = { host: LOGIN_HOST, headers: basic(ALICE.password, "alice") };
    await expectWhole(await mirror.request(path, asAlice), SECRET);
    mirror.ghcr.settings.credentials = [{ ...ALICE, repositories: [] }];
    mirror.clock.ahead += 6 * 60_000;
    expect((await mirror.request(path, asAlice)).status).toBe(401);
    mirror.ghcr.fail({ path: /./ }, { status: 503 });
    expect((await mirror.request(path, asAlice)).status).toBe(503);
  },
);

/** All that a response reveals, apart from its time and the requested name. */
function exposed({ status, headers, bytes }: MirrorResponse): unknown {
  return [status, [...headers].sort(), new TextDecoder().decode(bytes).replace(/(library|owner)\/\w+/g, "R")];
}

fault(
  "HEAD as an oracle",
  "without a key, cached, private, missing and unmirrored content are indistinguishable",
  async () => {
    for (const path of [TAG, demo.blob, hidden.tag, hidden.blob]) await pull(path);
    for (const headers of [{}, basic(UNKNOWN)]) {
      for (const method of ["HEAD", "GET"]) {
        const expected = exposed(
          await mirror.request("/v2/library/nowhere/manifests/latest", { method, headers }),
        );
        for (const path of [
          TAG,
          demo.blob,
          hidden.tag,
          hidden.blob,
          hidden.tags,
          "/v2/",
          "/v2/a.example.org/b/tags/list",
        ]) {
          expect([path, exposed(await mirror.request(path, { method, headers }))]).toEqual([path, expected]);
        }
      }
    }
  },
);

fault(
  "HEAD as an oracle",
  "to a key that doesn't permit it, cached, private and missing content are indistinguishable",
  async () => {
    const deny = { owner: "owner/nowhere", library: "library/secret" };
    await mirror.docker.addImage(deny.library, "latest");
    for (const path of [hidden.tag, hidden.blob, `/v2/${deny.library}/manifests/latest`]) await pull(path);
    for (const method of ["HEAD", "GET"]) {
      const of = async (name: string) =>
        exposed(await mirror.request(`/v2/${name}/manifests/latest`, { method, headers: basic(NARROW) }));
      expect(await of("owner/secret")).toEqual(await of(deny.owner));
      expect(await of(deny.library)).toEqual(await of(deny.owner));
    }
  },
);

fault(
  "an error remembered across callers",
  "one client's 401, 403 or 429 doesn't affect another",
  async () => {
    for (const headers of [{}, basic(UNKNOWN), basic(SLOW), basic(SLOW)])
      await mirror.request(TAG, { headers });
    expect((await mirror.request(hidden.tag, { headers: basic(NARROW) })).status).toBe(403);
    for (const path of [TAG, demo.blob, hidden.tag, hidden.blob, hidden.tags]) {
      expect([path, (await pull(path)).status]).toEqual([path, 200]);
    }
    expect((await mirror.request(TAG, { headers: basic(SLOW) })).status).toBe(429);
    expect((await mirror.request(TAG, { headers: basic(NARROW) })).status).toBe(200);
  },
);

fault(
  "an error remembered across callers",
  "one user's denied login doesn't affect another's, nor the other way round",
  async () => {
    await mirror.ghcr.addImage("alice/secret", "latest", { layers: [SECRET] });
    mirror.ghcr.setVisibility("alice/secret", "private");
    mirror.ghcr.settings.auth = "basic";
    const path = "/v2/alice/secret/manifests/latest";
    const as = ({ username, password }: Pick<typeof ALICE, "username" | "password">) =>
      mirror.request(path, { host: LOGIN_HOST, headers: basic(password, username) });
    for (let round = 0; round < 2; round++) {
      expect((await as(BOB)).status).toBe(401);
      expect((await as(ALICE)).status).toBe(200);
    }
  },
);

for (const [what, host, path] of [
  ["with the key in the host", `docker-${KEY}.example.com`, `${TAG}?ns=ghcr.io`],
  ["with the key in the path", "mirror.test", `/${KEY}/docker.io${TAG}?ns=ghcr.io`],
  ["with the key in the path of an upstream's host", "docker.example.com", `/${KEY}${TAG}?ns=ghcr.io`],
  ["with the key in both", `docker-${KEY}.example.com`, `/${KEY}${TAG}?ns=evil.test`],
] as const) {
  fault("ns against host", what, async () => {
    await mirror.ghcr.addImage("library/demo", "latest", { layers: [SECRET] });
    const response = await mirror.request(path, { host });
    await expectWhole(response, demo.image.target.bytes);
    expect(response.headers.get("OCI-Namespace")).toBe(null);
    expect([mirror.ghcr.requests, mirror.network.strays]).toEqual([[], []]);
  });
}

fault("ns against host", "a narrow key permits no more by ns than by name", async () => {
  await mirror.ghcr.addImage("library/demo", "latest", { layers: [SECRET] });
  for (const path of [
    `${TAG}?ns=ghcr.io`,
    `/${NARROW}${TAG}?ns=ghcr.io`,
    `/v2/ghcr.io${TAG.slice(3)}?ns=docker.io`,
  ]) {
    expect([path, (await mirror.request(path, { headers: basic(NARROW) })).status]).toEqual([path, 403]);
  }
  expect(mirror.ghcr.requests).toEqual([]);
});

fault("ns to an unlisted host", "isn't revealed to a client without a key", async () => {
  for (const ns of ["evil.test", "169.254.169.254", "ghcr.io@evil.test", ""]) {
    const path = `${TAG}?ns=${encodeURIComponent(ns)}`;
    expectRefused(await pull(path), 404, "NAME_UNKNOWN");
    expect((await mirror.request(`/${KEY}${path}`)).status).toBe(404);
    expect((await mirror.request(path)).status).toBe(401);
  }
  expect([mirror.docker.requests, mirror.network.strays]).toEqual([[], []]);
});
