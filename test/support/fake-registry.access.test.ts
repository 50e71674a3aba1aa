/** The fake registry's tokens and listings: who may pull, and what is listed page by page. */
import { describe, expect, it } from "vitest";
import type { FakeRegistry, FakeRegistryOptions } from "./fake-registry.ts";
import { createFakeRegistry, profiles, utf8 } from "./fake-registry.ts";

const ORIGIN = "https://registry.test";
const ALICE = { username: "alice", password: "pass:word" };
const BASIC_ALICE = `Basic ${btoa("alice:pass:word")}`;

type TokenAnswer = { token?: string; access_token?: string; expires_in?: number; issued_at?: string };

async function withImage(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const fake = createFakeRegistry(options);
  await fake.addImage("a/b", "1");
  return fake;
}

function askToken(fake: FakeRegistry, query: string, authorization?: string): Promise<Response> {
  const headers = authorization === undefined ? {} : { authorization };
  return fake.fetch(`https://auth.test/token?${query}`, { headers });
}

async function tokenFor(fake: FakeRegistry, scope: string, authorization?: string): Promise<string> {
  const response = await (await askToken(fake, `scope=${scope}`, authorization)).json<TokenAnswer>();
  return response.token ?? response.access_token ?? "";
}

function pull(fake: FakeRegistry, repository: string, token?: string): Promise<Response> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  return fake.fetch(`${ORIGIN}/v2/${repository}/manifests/1`, { headers });
}

describe("bearer tokens", () => {
  it("are requested by a challenge and open the repository they are for", async () => {
    const fake = await withImage();
    const refused = await pull(fake, "a/b");
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toBe(
      'Bearer realm="https://auth.test/token",service="registry.test",scope="repository:a/b:pull"',
    );
    expect((await pull(fake, "a/b", await tokenFor(fake, "repository:a/b:pull"))).status).toBe(200);
    expect(fake.count({ kind: "token" })).toBe(1);
  });

  it("open no other repository", async () => {
    const fake = await withImage();
    await fake.addImage("c/d", "1");
    const refused = await pull(fake, "c/d", await tokenFor(fake, "repository:a/b:pull"));
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toContain('scope="repository:c/d:pull"');
    const both = await tokenFor(fake, "repository:a/b:pull&scope=repository:c/d:pull,push");
    expect([(await pull(fake, "a/b", both)).status, (await pull(fake, "c/d", both)).status]).toEqual([
      200, 200,
    ]);
  });

  it("expire by the clock that the test holds, and may then be challenged for elsewhere", async () => {
    let now = 0;
    const fake = await withImage({ expiresIn: 60, now: () => now });
    fake.settings.realmAfterExpiry = "https://other.test/token";
    const token = await tokenFor(fake, "repository:a/b:pull");
    now = 59_999;
    expect((await pull(fake, "a/b", token)).status).toBe(200);
    now = 60_000;
    const refused = await pull(fake, "a/b", token);
    expect(refused.status).toBe(401);
    expect(refused.headers.get("www-authenticate")).toContain('realm="https://other.test/token"');
    expect((await pull(fake, "a/b")).headers.get("www-authenticate")).toContain(
      'realm="https://auth.test/token"',
    );
  });

  it("are served in every shape seen in the wild", async () => {
    const fake = await withImage({ now: () => 0 });
    const response = async () => (await askToken(fake, "scope=repository:a/b:pull")).json<TokenAnswer>();
    expect(await response()).toMatchObject({ expires_in: 300, issued_at: "1970-01-01T00:00:00.000Z" });
    Object.assign(fake.settings, { tokenField: "access_token", expiresIn: null, issuedAt: false });
    expect(Object.keys(await response())).toEqual(["access_token"]);
    Object.assign(fake.settings, { tokenField: "token", expiresIn: -1 });
    expect(await response()).toMatchObject({ expires_in: -1, token: expect.any(String) });
    fake.settings.service = null;
    expect((await pull(fake, "a/b")).headers.get("www-authenticate")).not.toContain("service");
  });

  it("are refused to another service and, if so set, to who requests more than pull", async () => {
    const fake = await withImage({ refusePush: true });
    expect((await askToken(fake, "service=other")).status).toBe(400);
    expect((await askToken(fake, "scope=repository:a/b:pull,push")).status).toBe(403);
  });
});

describe("private repositories", () => {
  it("open to an account, by GET and by POST, and to no other client", async () => {
    const fake = await withImage({
      credentials: [ALICE, { username: "bob", password: "b", repositories: [] }],
    });
    fake.setVisibility("a/b", "private");
    const scope = "scope=repository:a/b:pull";
    expect((await askToken(fake, scope)).status).toBe(401);
    expect((await askToken(fake, scope, "Basic Og==")).status).toBe(401);
    expect((await askToken(fake, scope, `Basic ${btoa("bob:b")}`)).status).toBe(401);
    expect((await pull(fake, "a/b", await tokenFor(fake, "repository:a/b:pull", BASIC_ALICE))).status).toBe(
      200,
    );

    const form = new URLSearchParams({ grant_type: "password", ...ALICE, scope: "repository:a/b:pull" });
    const posted = await fake.fetch("https://auth.test/token", { method: "POST", body: form });
    const { token } = await posted.json<TokenAnswer>();
    expect((await pull(fake, "a/b", token)).status).toBe(200);
  });

  it("may be hidden behind a token that opens nothing", async () => {
    const fake = await withImage({ deniedScope: "grant-nothing" });
    fake.setVisibility("a/b", "private");
    const token = await tokenFor(fake, "repository:a/b:pull");
    expect(token).not.toBe("");
    expect((await pull(fake, "a/b", token)).status).toBe(401);
  });

  it("are closed at once, also to a token from before", async () => {
    const fake = await withImage();
    const token = await tokenFor(fake, "repository:a/b:pull");
    fake.setVisibility("a/b", "private");
    expect((await pull(fake, "a/b", token)).status).toBe(403);
  });

  it("look like unknown ones where the registry doesn't tell them apart", async () => {
    const fake = createFakeRegistry(profiles["docker.io"]);
    const url = "https://auth.docker.io/token?service=registry.docker.io&scope=repository:no/such:pull";
    const { token } = await (await fake.fetch(url)).json<TokenAnswer>();
    const response = await fake.fetch("https://registry-1.docker.io/v2/no/such/manifests/1", {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(response.status).toBe(401);
  });
});

describe("other ways of access", () => {
  it("Basic is checked against the accounts", async () => {
    const fake = await withImage({ auth: "basic", credentials: [ALICE] });
    expect((await pull(fake, "a/b")).headers.get("www-authenticate")).toMatch(/^Basic realm=/);
    const headers = { authorization: BASIC_ALICE };
    expect((await fake.fetch(`${ORIGIN}/v2/a/b/manifests/1`, { headers })).status).toBe(200);
  });

  it("a token endpoint may lie below /v2/ of the registry itself", async () => {
    const fake = createFakeRegistry(profiles["quay.io"]);
    expect((await fake.fetch("https://quay.io/v2/auth?service=quay.io")).status).toBe(200);
    expect(fake.requests[0]?.kind).toBe("token");
  });

  it("writing is refused, and unknown hosts don't exist", async () => {
    const fake = createFakeRegistry({ auth: "none" });
    expect((await fake.fetch(`${ORIGIN}/v2/`)).status).toBe(200);
    expect((await fake.fetch(`${ORIGIN}/v2/a/b/blobs/uploads/`, { method: "POST" })).status).toBe(405);
    await expect(fake.fetch("https://elsewhere.test/v2/")).rejects.toThrow(TypeError);
    expect(fake.requests.map(({ kind, status }) => [kind, status])).toEqual([
      ["ping", 200],
      ["other", 405],
      ["other", 0],
    ]);
  });
});

describe("tags", () => {
  it("are sorted and paged by n, last and Link", async () => {
    const fake = createFakeRegistry({ auth: "none", tagsPageSize: 3 });
    for (const tag of ["b", "d", "a", "c"]) await fake.addManifest("a/b", { schemaVersion: 2 }, { tag });
    const list = async (query: string) => {
      const response = await fake.fetch(`${ORIGIN}/v2/a/b/tags/list${query}`);
      return { ...(await response.json<{ tags: string[] }>()), link: response.headers.get("link") };
    };
    expect(await list("?n=2")).toEqual({
      name: "a/b",
      tags: ["a", "b"],
      link: '</v2/a/b/tags/list?n=2&last=b>; rel="next"',
    });
    expect(await list("?n=2&last=b")).toEqual({ name: "a/b", tags: ["c", "d"], link: null });
    expect(await list("?n=0")).toEqual({ name: "a/b", tags: [], link: null });
    const head = await fake.fetch(`${ORIGIN}/v2/a/b/tags/list`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    fake.settings.absoluteLinks = true;
    expect((await list("")).link).toBe(`<${ORIGIN}/v2/a/b/tags/list?n=3&last=c>; rel="next"`);
  });
});

describe("referrers", () => {
  async function withReferrers(options: FakeRegistryOptions = {}) {
    const fake = await withImage({ auth: "none", ...options });
    const { digest } = await fake.addManifest("a/b", utf8("{}"));
    for (const artifactType of ["application/spdx+json", "application/vnd.cosign"]) {
      await fake.addManifest("a/b", {
        schemaVersion: 2,
        artifactType,
        annotations: { made: "here" },
        subject: { digest },
      });
    }
    const get = (query = "") => fake.fetch(`${ORIGIN}/v2/a/b/referrers/${digest}${query}`);
    const typesOf = async (response: Response) => {
      const { manifests } = await response.json<{ manifests: { artifactType: string }[] }>();
      return manifests.map(({ artifactType }) => artifactType);
    };
    return { fake, get, typesOf };
  }
  const FILTER = "?artifactType=application%2Fvnd.cosign";

  it("are an index, filtered where requested, and marked as filtered", async () => {
    const { fake, get, typesOf } = await withReferrers();
    const all = await get();
    expect(all.headers.get("content-type")).toBe("application/vnd.oci.image.index.v1+json");
    expect(all.headers.has("oci-filters-applied")).toBe(false);
    expect(await typesOf(all)).toHaveLength(2);
    const filtered = await get(FILTER);
    expect(filtered.headers.get("oci-filters-applied")).toBe("artifactType");
    expect(await typesOf(filtered)).toEqual(["application/vnd.cosign"]);
    expect((await fake.fetch(`${ORIGIN}/v2/a/b/referrers/latest`)).status).toBe(400);
  });

  it("may ignore the filter, come in pages, or be absent", async () => {
    const { fake, get, typesOf } = await withReferrers({ referrers: "no-filter", referrersPageSize: 1 });
    const first = await get(FILTER);
    expect(first.headers.has("oci-filters-applied")).toBe(false);
    expect(await typesOf(first)).toEqual(["application/spdx+json"]);
    const next = /<([^>]+)>; rel="next"/.exec(first.headers.get("link") ?? "")?.[1] ?? "";
    const second = await fake.fetch(new URL(next, ORIGIN));
    expect(await typesOf(second)).toEqual(["application/vnd.cosign"]);
    expect(second.headers.has("link")).toBe(false);
    fake.settings.referrers = "off";
    expect((await get()).status).toBe(404);
  });
});
