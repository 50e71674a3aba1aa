/** An upstream that gives nothing to anonymous clients: all of it is private content, for holders of keys. */
import { beforeEach, describe, expect, test } from "vitest";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { useMirror } from "../support/mirror.ts";

const OWNER = { username: "owner", password: "hunter2" };
const SETTINGS = { ...KEYED, UPSTREAMS: { "ghcr.io": { login: "required" } } };
const NEEDS_LOGIN = /ghcr\.io gives nothing without a login.*UPSTREAM_CREDENTIALS/;

describe("with a credential", () => {
  const mirror = useMirror({ ...SETTINGS, UPSTREAM_CREDENTIALS: { "ghcr.io": [OWNER] } });
  const path = "/v2/ghcr.io/owner/image/manifests/latest";

  beforeEach(async () => {
    mirror.ghcr.settings.credentials = [OWNER];
    await mirror.ghcr.addImage("owner/image", "latest");
    mirror.ghcr.setVisibility("owner/image", "private");
  });

  test("is served to a key, without an anonymous request, and stored as private content", async () => {
    expect((await mirror.request(path, { headers: basic(KEY) })).status).toBe(200);
    const tokens = mirror.ghcr.requests.filter(({ kind }) => kind === "token");
    expect(tokens.map(({ headers }) => headers.authorization)).toEqual([expect.stringMatching(/^Basic /)]);
    const content = (await mirror.stored()).filter((key) => key.includes("manifests/"));
    expect(content.length).toBeGreaterThan(0);
    for (const key of content) expect(key).toMatch(/^private\//);
  });

  test("isn't served without a key", async () => {
    await mirror.request(path, { headers: basic(KEY) });
    expect((await mirror.request(path)).status).toBe(401);
  });
});

describe("without a credential", () => {
  const mirror = useMirror(SETTINGS);

  test("says what is missing, and sends no request", async () => {
    const response = await mirror.request("/v2/ghcr.io/owner/image/manifests/latest", {
      headers: basic(KEY),
    });
    expect([response.status, JSON.stringify(response.json())]).toEqual([
      403,
      expect.stringMatching(NEEDS_LOGIN),
    ]);
    expect(mirror.ghcr.requests).toEqual([]);
  });
});

describe("an open mirror", () => {
  const mirror = useMirror({ UPSTREAMS: SETTINGS.UPSTREAMS, UPSTREAM_CREDENTIALS: { "ghcr.io": [OWNER] } });

  test("never uses the operator's credential for it", async () => {
    const response = await mirror.request("/v2/ghcr.io/owner/image/manifests/latest");
    expect([response.status, JSON.stringify(response.json())]).toEqual([
      403,
      expect.stringMatching(NEEDS_LOGIN),
    ]);
    expect(mirror.ghcr.requests).toEqual([]);
  });
});
