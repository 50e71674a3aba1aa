/** TAG_QUORUM and login pass-through: what a user logs in to isn't requested of sources. */
import { expect, test, vi } from "vitest";
import { basic, bearer } from "../access/keyed.ts";
import { createFakeNetwork, createFakeRegistry } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ALICE = { username: "alice", password: "wonderland", repositories: ["alice/secret"] };
const host = "ghcr.example.com";
const path = "/v2/alice/secret/manifests/latest";
const mirror = useMirror({
  DOMAIN: "example.com",
  UPSTREAMS: { "ghcr.io": { login: true } },
  TAG_QUORUM: { "ghcr.io": { sources: ["https://a.test", "https://b.test"] } },
});

test("a tag that a user may pull isn't voted on when the registry fails", async () => {
  const sources = ["a.test", "b.test"].map((registryHost) =>
    createFakeRegistry({ registryHost, auth: "none" }),
  );
  vi.stubGlobal("fetch", createFakeNetwork(mirror.ghcr, ...sources).fetch);
  mirror.ghcr.settings.credentials = [ALICE];
  for (const registry of [mirror.ghcr, ...sources]) await registry.addImage("alice/secret", "latest");
  mirror.ghcr.setVisibility("alice/secret", "private");
  const query = `service=${host}&scope=repository:alice/secret:pull`;
  const login = await mirror.request(`/_/token?${query}`, {
    host,
    headers: basic(ALICE.password, ALICE.username),
  });
  const headers = bearer(login.json().token);
  expect((await mirror.request(path, { host, headers })).status).toBe(200);
  // Alice stays authorized for minutes, whatever becomes of the registry.
  mirror.ghcr.fail({ kind: "manifest" }, { status: 503 });
  await mirror.request(path.replace("latest", "other"), { host, headers });
  expect(mirror.ghcr.count({ path: /\/manifests\/other$/ })).toBeGreaterThan(0);
  expect(sources.flatMap(({ requests }) => requests)).toEqual([]);
});
