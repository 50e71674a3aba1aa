/** TAG_QUORUM: when sources resolve a tag, what is served then, and what it leaves behind. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  behaviours,
  createFakeNetwork,
  createFakeRegistry,
  type FakeRegistry,
  type Image,
} from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const KEY = "tags/docker.io/library/demo/latest";
const HOUR = 3_600_000;
const tag = "/v2/library/demo/manifests/latest";
const mirror = useMirror({
  TAG_QUORUM: { "docker.io": { sources: ["https://a.test/docker.io", "https://b.test", "https://c.test"] } },
});
const OLDER = { platforms: ["linux/arm64"] };

let image: Image;
let sources: FakeRegistry[];

/** What a source calls the repository. */
const nameAt = (index: number) => (index === 0 ? "docker.io/library/demo" : "library/demo");
const votes = () => sources.reduce((sum, source) => sum + source.count({ path: /\/manifests\/latest$/ }), 0);

/** Has a source name another image. */
async function contradict(index: number): Promise<Image> {
  return (sources[index] as FakeRegistry).addImage(nameAt(index), "latest", OLDER);
}

beforeEach(async () => {
  sources = ["a.test", "b.test", "c.test"].map((host) =>
    createFakeRegistry({
      registryHost: host,
      tokenHost: host,
      storageHost: `storage.${host}`,
      redirect: "absolute",
    }),
  );
  vi.stubGlobal("fetch", createFakeNetwork(mirror.docker, mirror.ghcr, ...sources).fetch);
  image = await mirror.docker.addImage("library/demo", "latest");
  for (const [index, source] of sources.entries()) await source.addImage(nameAt(index), "latest");
});

const down = () => mirror.docker.fail({}, { status: 503 });

test.each(["GET", "HEAD"])(
  "a tag of a registry that is down is served to a %s as sources agree",
  async (method) => {
    down();
    const { status, headers, bytes } = await mirror.request(tag, { method });
    expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
    expect(bytes.byteLength).toBe(method === "GET" ? image.target.size : 0);
    expect(headers.get("Warning")).toMatch(
      /^299 - "upstream answered 503 .*; the tag is resolved by the agreement of [23] of 3 sources"$/,
    );
    expect(headers.get("Cache-Status")).toBe("Portolan; fwd=uri-miss; fwd-status=503; detail=quorum");
  },
);

test("the rest of the image comes from the sources", async () => {
  down();
  await mirror.request(tag);
  for (const { digest } of [...image.configs, ...image.layers]) {
    expect((await mirror.request(`/v2/library/demo/blobs/${digest}`)).status).toBe(200);
  }
});

test.each<[string, Parameters<FakeRegistry["fail"]>[1]]>([
  ["limits requests", behaviours.tooManyRequests(60)],
  ["can't be reached", { network: true }],
  ["sends a page", behaviours.htmlPage()],
])("so is that of one that %s", async (_, behaviour) => {
  mirror.docker.fail({ kind: "manifest", authorized: true }, behaviour);
  expect((await mirror.request(tag)).headers.get("Cache-Status")).toContain("detail=quorum");
});

test("what sources agree on isn't served once it is recalled", async () => {
  down();
  await mirror.services.recalls.recall(mirror.services, { digest: image.target.digest });
  for (const method of ["GET", "HEAD"]) expect((await mirror.request(tag, { method })).status).toBe(403);
});

test("one source that names another image is outvoted", async () => {
  await contradict(0);
  down();
  const { headers } = await mirror.request(tag);
  expect(headers.get("Docker-Content-Digest")).toBe(image.target.digest);
});

describe("nothing is served", () => {
  test("where sources disagree", async () => {
    await contradict(0);
    sources[1]?.removeTag("library/demo", "latest");
    down();
    const { status, headers } = await mirror.request(tag);
    expect([status, headers.get("Warning")]).toEqual([503, null]);
  });

  test("where too few respond", async () => {
    for (const source of sources.slice(1)) source.fail({}, { network: true });
    down();
    expect((await mirror.request(tag)).status).toBe(503);
  });

  test("whose bytes don't have the digest that was agreed on", async () => {
    for (const source of sources) source.fail({ kind: "manifest", method: "GET" }, behaviours.corrupted());
    down();
    expect((await mirror.request(tag)).status).toBe(503);
    expect(await mirror.stored()).toEqual([]);
  });
});

test.each([403, 404])("a registry's %i stands, whatever sources have", async (status) => {
  mirror.docker.fail({ kind: "manifest", authorized: true }, { status });
  expect((await mirror.request(tag)).status).toBe(status);
  expect(votes()).toBe(0);
});

test("the registry's own word comes first, and sources aren't requested", async () => {
  for (const index of sources.keys()) await contradict(index);
  expect((await mirror.request(tag)).headers.get("Docker-Content-Digest")).toBe(image.target.digest);
  expect(votes()).toBe(0);
});

test("a tag that the registry has just named isn't voted on, though its manifest can't be fetched", async () => {
  await mirror.request(tag);
  mirror.clock.ahead += HOUR;
  mirror.newIsolate();
  await mirror.docker.addImage("library/demo", "latest", OLDER);
  mirror.docker.fail({ kind: "manifest", method: "GET" }, behaviours.tooManyRequests());
  expect((await mirror.request(tag)).headers.get("Cache-Status")).toContain("detail=stale");
  expect(votes()).toBe(0);
});

describe("a tag that sources agreed on", () => {
  test("isn't recorded: the registry is requested the next time", async () => {
    const fault = down();
    await mirror.request(tag);
    expect(await mirror.bindings.TAGS.get(KEY)).toBe(null);
    fault.remove();
    mirror.recover();
    const { headers } = await mirror.request(tag);
    expect([headers.get("Warning"), headers.get("Cache-Status")]).toEqual([
      null,
      "Portolan; fwd=uri-miss; fwd-status=200; stored; detail=upstream",
    ]);
  });

  test("leaves what the registry confirmed before as it was", async () => {
    await mirror.request(tag);
    const before = await mirror.bindings.TAGS.get(KEY);
    mirror.clock.ahead += HOUR;
    mirror.newIsolate();
    for (const index of sources.keys()) await contradict(index);
    down();
    const { headers } = await mirror.request(tag);
    expect(headers.get("Cache-Status")).toBe("Portolan; fwd=stale; fwd-status=503; detail=quorum");
    expect(await mirror.bindings.TAGS.get(KEY)).toBe(before);
    for (const source of sources) source.fail({}, { network: true });
    const stale = await mirror.request(tag);
    expect(stale.headers.get("Cache-Status")).toContain("detail=stale");
    expect(stale.headers.get("Docker-Content-Digest")).toBe(image.target.digest);
  });

  test("isn't given to a mirror that this one is a relay of, which would take it for confirmed", async () => {
    down();
    const headers = { "Portolan-Identity": "anonymous" };
    expect((await mirror.request(tag, { headers })).status).toBe(503);
  });
});

test("an upstream without a quorum has none", async () => {
  mirror.ghcr.fail({}, { status: 503 });
  expect((await mirror.request("/v2/ghcr.io/owner/image/manifests/latest")).status).toBe(503);
  expect(sources.flatMap(({ requests }) => requests)).toEqual([]);
});
