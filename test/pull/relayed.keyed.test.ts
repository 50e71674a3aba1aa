/** A mirror that is another one's relay: what that requests for its anonymous clients, this one gives as to an anonymous client. */
import { beforeEach, expect, test } from "vitest";
import { basic, KEY, KEYED } from "../access/keyed.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const OWNER = { username: "owner", password: "hunter2" };
const FOR_ANONYMOUS = { ...basic(KEY), "Portolan-Identity": "anonymous" };
const SECRET = "/v2/owner/secret/manifests/latest";

const mirror = useMirror({
  ...KEYED,
  PRIVATE: ["docker.io/owner/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
  UPSTREAMS: { "lan.test": { endpoints: ["https://192.168.1.5"] } },
});

let blob: string;
beforeEach(async () => {
  mirror.docker.settings.credentials = [OWNER];
  const { layers } = await mirror.docker.addImage("owner/secret", "latest", {
    layers: [patternBytes(1000, 1)],
  });
  blob = `/v2/owner/secret/blobs/${layers[0]?.digest}`;
  mirror.docker.setVisibility("owner/secret", "private");
  await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(1000, 2)] });
});

const statusOf = async (path: string, headers: HeadersInit) =>
  (await mirror.request(path, { headers })).status;

test("public content is given", async () => {
  expect(await statusOf("/v2/library/demo/manifests/latest", FOR_ANONYMOUS)).toBe(200);
});

test("private content isn't, also where a key's holder was given it before", async () => {
  expect([await statusOf(SECRET, FOR_ANONYMOUS), await statusOf(blob, FOR_ANONYMOUS)]).toEqual([403, 403]);
  expect([await statusOf(SECRET, basic(KEY)), await statusOf(blob, basic(KEY))]).toEqual([200, 200]);
  expect([await statusOf(SECRET, FOR_ANONYMOUS), await statusOf(blob, FOR_ANONYMOUS)]).toEqual([403, 403]);
});

test("nothing of registries within the network is", async () => {
  const response = await mirror.request("/v2/lan.test/a/b/manifests/latest", { headers: FOR_ANONYMOUS });
  expect([response.status, JSON.stringify(response.json())]).toEqual([
    403,
    expect.stringContaining("a relay has it only with private = true"),
  ]);
});

test("the header alone gives nothing", async () => {
  expect(await statusOf("/v2/library/demo/manifests/latest", { "Portolan-Identity": "anonymous" })).toBe(401);
});
