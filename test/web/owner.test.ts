/** The owner's page: who sees it, what it shows, and what it does. */
import { beforeEach, describe, expect, test } from "vitest";
import { ACTIONS } from "../../src/web/owner/actions.ts";
import { pathOf, SECTIONS } from "../../src/web/owner/section.ts";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { ADMIN_KEY, textOf as text, useOwner } from "./owner-scene.ts";
import { publish } from "./support.ts";

describe("the status of a keyed mirror", () => {
  const { mirror, post, page, signIn, signOut } = useOwner({ ...KEYED, ADMIN_KEY });
  beforeEach(signOut);

  test.each<[string, () => Promise<Record<string, string>>]>([
    ["without a session", async () => ({})],
    ["with an access key", async () => basic(KEY)],
    [
      "with ADMIN_KEY as a bearer token, which is for programs",
      async () => ({ Authorization: `Bearer ${ADMIN_KEY}` }),
    ],
    [
      "with an access key's session",
      async () => {
        const response = await post("/_/session", { key: KEY });
        return { Cookie: response.headers.getSetCookie()[0]?.split(";")[0] ?? "" };
      },
    ],
    [
      "with a session that it didn't sign",
      async () => ({
        Cookie:
          "__Host-portolan-owner=eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJhdWQiOiIvXy8iLCJleHAiOjk5OTk5OTk5OTl9.",
      }),
    ],
  ])("isn't shown %s", async (_, headers) => {
    const response = await page("/_/owner", await headers());
    expect([response.status, response.headers.get("Location")]).toEqual([
      303,
      "/_/session?next=%2F_%2Fowner",
    ]);
    expect(text(response)).not.toContain("ACCESS_KEYS");
  });

  test("is shown to its owner for 12 hours, and kept by no cache", async () => {
    await signIn();
    const response = await page();
    expect([response.status, response.headers.get("Cache-Control")]).toEqual([200, "no-store"]);
    expect(text(response)).toContain("<h1>Status</h1>");
    mirror.clock.ahead += 12 * 3600_000;
    expect((await page()).status).toBe(303);
  });

  test("ends for all sessions with another ADMIN_KEY", async () => {
    const cookie = await signIn();
    Object.assign(mirror.bindings, { ADMIN_KEY: "another-admin-key-of-32-characters" });
    mirror.newIsolate();
    expect((await page("/_/owner", { Cookie: cookie })).status).toBe(303);
    Object.assign(mirror.bindings, { ADMIN_KEY });
  });

  test("shows what was served, errors in words, and the store", async () => {
    const { ledger } = mirror.services;
    const counted = { upstream: "docker.io", kind: "blob", status: 200 };
    await ledger.add(
      {
        traffic: [
          { ...counted, served: "store", requests: 3, bytes: 3_000_000 },
          { ...counted, served: "upstream", requests: 1, bytes: 1_000_000 },
          { ...counted, served: "", status: 429, requests: 2, bytes: 0 },
        ],
        uses: [{ digest: `sha256:${"a".repeat(64)}`, source: "docker.io/library/nginx" }],
      },
      mirror.services.now(),
    );
    await signIn();
    const html = text(await page());
    expect(html).toContain("75 %");
    expect(html).toContain("3.0 MB were served from here, 1.0 MB from upstream");
    expect(html).toMatch(/2 × 429.*Your own credentials or a relay help/s);
    expect(html).toContain('href="/_/image/docker.io/library/nginx"');
    expect(html).toContain("hasn’t been counted yet");
  });

  test.each<[string, Record<string, string>]>([
    ["another site", { Origin: "https://evil.test" }],
    ["a neighbouring host", { Origin: "https://evil.mirror.test" }],
    ["an opaque origin", { Origin: "null" }],
    ["no origin", { Origin: "" }],
  ])("does nothing that %s makes the owner's browser send", async (_, headers) => {
    await signIn();
    const digest = `sha256:${"b".repeat(64)}`;
    const response = await post("/_/owner", { action: "recall", digest }, headers);
    expect(response.status).toBe(403);
    expect(await mirror.services.recalls.list()).toEqual([]);
  });

  test("does nothing without a session", async () => {
    const fields = { name: "x", image: "nginx", digest: `sha256:${"b".repeat(64)}`, sure: "yes" };
    for (const section of SECTIONS) {
      expect((await page(pathOf(section))).status).toBe(303);
      for (const action of [...Object.keys(ACTIONS), "toString"]) {
        const { status } = await post(pathOf(section), { action, ...fields });
        expect([section, action, status]).toEqual([section, action, 401]);
      }
    }
    expect(await mirror.services.recalls.list()).toEqual([]);
    expect(mirror.docker.requests).toEqual([]);
  });

  test("does nothing that it has no action for", async () => {
    await signIn();
    for (const action of ["", "toString", "__proto__"]) {
      expect((await post("/_/owner", { action })).status).toBe(400);
    }
  });

  test("makes a key, shown this once, that pulls what it allows, and revokes it", async () => {
    await signIn();
    await publish(mirror.docker, "library/nginx", "latest");
    const made = text(
      await post("/_/owner/keys", { action: "key", name: "laptop", allow: "docker.io/library/*" }),
    );
    const [, key = ""] = /<code>([a-z2-7]{32})<\/code>/.exec(made) ?? [];
    expect(key).not.toBe("");
    expect(text(await page("/_/owner/keys"))).toContain("<strong>laptop</strong>");
    expect(text(await page("/_/owner/keys"))).not.toContain(key);
    const pull = (path: string) => mirror.request(path, { headers: basic(key) });
    expect((await pull("/v2/library/nginx/manifests/latest")).status).toBe(200);
    expect((await pull("/v2/ghcr.io/a/b/manifests/latest")).status).toBe(403);
    expect(text(await post("/_/owner", { action: "revoke", name: "laptop" }))).toContain("is revoked");
    expect((await pull("/v2/library/nginx/manifests/latest")).status).toBe(401);
    expect((await post("/_/owner", { action: "revoke", name: "all" })).status).toBe(409);
  });

  test("recalls a digest, and undoes it", async () => {
    await signIn();
    const { digest } = await publish(mirror.docker, "library/nginx", "latest");
    const pull = () => mirror.request("/v2/library/nginx/manifests/latest", { headers: basic(KEY) });
    expect((await pull()).status).toBe(200);
    const html = text(await post("/_/owner/tags", { action: "recall", digest, reason: "<b>bad</b>" }));
    expect(html).toContain("&lt;b&gt;bad&lt;/b&gt;");
    expect((await pull()).status).toBe(403);
    await post("/_/owner", { action: "undo", digest });
    expect((await pull()).status).toBe(200);
  });

  test("fetches an image ahead, and forgets its tag", async () => {
    await signIn();
    await publish(mirror.docker, "library/nginx", "1");
    const warmed = text(await post("/_/owner", { action: "warm", image: "nginx:1" }));
    expect(warmed).toMatch(/docker\.io\/library\/nginx:1(?: is stored|: )/);
    expect((await mirror.stored()).some((key) => key.startsWith("blobs/"))).toBe(true);
    await mirror.request("/v2/library/nginx/manifests/1", { headers: basic(KEY) });
    const record = {
      upstream: "docker.io",
      repository: "library/nginx",
      tag: "1",
      visibility: "public",
    } as const;
    expect(await mirror.services.tags.read(record)).not.toBeNull();
    expect(text(await post("/_/owner", { action: "purge", image: "nginx:1" }))).toContain("is forgotten");
    expect(await mirror.services.tags.read(record)).toBeNull();
  });

  test("says in words what it can't do", async () => {
    await signIn();
    const response = await post("/_/owner", { action: "warm", image: "!!" });
    expect([response.status, response.headers.get("Content-Type")]).toEqual([
      400,
      "text/html; charset=UTF-8",
    ]);
    expect((await post("/_/owner", { action: "key", name: "all" })).status).toBe(409);
  });
});

describe("a mirror without an ADMIN_KEY", () => {
  const { post, page } = useOwner({});

  test("has no owner's page and no session for one", async () => {
    expect((await page()).status).toBe(403);
    expect((await post("/_/session", { key: "" })).status).toBe(401);
    expect((await post("/_/owner", { action: "gc" })).status).toBe(403);
    expect(text(await page("/"))).not.toContain("/_/owner");
  });
});

describe("an open mirror", () => {
  const { page, signIn } = useOwner({ ADMIN_KEY });

  test("shows its owner no keys to make, since it takes none", async () => {
    await signIn();
    const html = text(await page("/_/owner/keys"));
    expect(html).toContain("<h1>Status</h1>");
    expect(html).not.toContain('value="key"');
  });
});
