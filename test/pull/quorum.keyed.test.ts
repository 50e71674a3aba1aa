/** TAG_QUORUM and private content: sources learn nothing of it, and have no say in it. */
import { beforeEach, expect, test, vi } from "vitest";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { createFakeNetwork, createFakeRegistry, type FakeRegistry } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const OWNER = { username: "owner", password: "hunter2" };
const mirror = useMirror({
  ...KEYED,
  PRIVATE: ["docker.io/owner/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
  TAG_QUORUM: { "docker.io": { sources: ["https://a.test", "https://b.test"] } },
});
let sources: FakeRegistry[];

beforeEach(async () => {
  sources = ["a.test", "b.test"].map((registryHost) => createFakeRegistry({ registryHost, auth: "none" }));
  vi.stubGlobal("fetch", createFakeNetwork(mirror.docker, ...sources).fetch);
  for (const source of sources) {
    await source.addImage("owner/secret", "latest");
    await source.addImage("library/demo", "latest");
  }
  mirror.docker.fail({}, { status: 503 });
});

const requests = () => sources.flatMap((source) => source.requests);

test("a key's holder gets public tags by agreement", async () => {
  const response = await mirror.request("/v2/library/demo/manifests/latest", { headers: basic(KEY) });
  expect([response.status, response.headers.get("Cache-Status")]).toEqual([
    200,
    expect.stringContaining("detail=quorum"),
  ]);
});

test("what PRIVATE names isn't requested of sources on the operator's behalf", async () => {
  const response = await mirror.request("/v2/owner/secret/manifests/latest", { headers: basic(KEY) });
  expect([response.status, requests()]).toEqual([503, []]);
});

test("nor on an anonymous client's", async () => {
  const headers = { ...basic(KEY), "Portolan-Identity": "anonymous" };
  const response = await mirror.request("/v2/owner/secret/manifests/latest", { headers });
  expect([response.status, requests()]).toEqual([503, []]);
});
