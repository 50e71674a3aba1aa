/** Login pass-through behind access keys: the key is in the host, the login in Authorization. */
import { expect, test } from "vitest";
import { basic, bearer, KEY, KEYED, UNKNOWN } from "../access/keyed.ts";
import { useMirror } from "../support/mirror.ts";

const ALICE = { username: "alice", password: "wonderland" };
const mirror = useMirror({ ...KEYED, UPSTREAMS: { "ghcr.io": { login: true } } });
const host = `ghcr-${KEY}.example.com`;
const path = "/v2/alice/secret/manifests/latest";

test("a login is passed through only for requests with a key in the host", async () => {
  mirror.ghcr.settings.credentials = [ALICE];
  await mirror.ghcr.addImage("alice/secret", "latest");
  mirror.ghcr.setVisibility("alice/secret", "private");
  const login = basic(ALICE.password, "alice");

  const realm = `https://${host}/_/token`;
  expect((await mirror.request("/v2/", { host })).headers.get("WWW-Authenticate")).toContain(
    `realm="${realm}"`,
  );
  const query = "?scope=repository:alice/secret:pull";
  const response = await mirror.request(`/_/token${query}`, { host, headers: login });
  expect((await mirror.request(path, { host, headers: bearer(response.json().token) })).status).toBe(200);

  for (const other of ["ghcr.example.com", `ghcr-${UNKNOWN}.example.com`]) {
    mirror.ghcr.reset();
    expect((await mirror.request(`/_/token${query}`, { host: other, headers: login })).status).toBe(401);
    for (const headers of [login, bearer(response.json().token)]) {
      expect((await mirror.request(path, { host: other, headers })).status).toBe(401);
    }
    expect(mirror.ghcr.requests).toEqual([]);
  }
  expect(JSON.stringify(mirror.ghcr.requests)).not.toContain(KEY);
});

test("a key is no login: it isn't sent upstream", async () => {
  await mirror.ghcr.addImage("owner/image", "latest");
  await mirror.request("/v2/owner/image/manifests/latest", { host: "ghcr.example.com", headers: basic(KEY) });
  const sent = JSON.stringify(mirror.ghcr.requests);
  expect(sent).not.toContain(KEY);
  expect(sent).not.toContain(basic(KEY).Authorization);
});
