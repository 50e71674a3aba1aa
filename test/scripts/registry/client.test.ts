import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RegistryClient, type RemoteRepository, remoteOf } from "../../../scripts/registry/client.ts";
import type { Logins } from "../../../scripts/registry/logins.ts";
import { type Network, openNetwork } from "../../../scripts/registry/network.ts";
import { readBounded } from "../../../src/registry/bounded-read.ts";
import {
  behaviours,
  createFakeRegistry,
  type FakeRegistry,
  type Image,
} from "../../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../../support/node/listen.ts";
import { digest } from "../support/digest.ts";
import { shortWait } from "../support/wait.ts";

const USER = { username: "reader", password: "s3cret" };
const NO_LOGINS: Logins = { loginFor: async () => null };
const READER: Logins = { loginFor: async () => ({ ...USER, source: "config.json" }) };

let fake: FakeRegistry;
let served: ListeningRegistry;
let network: Network;
let image: Image;
let remote: RemoteRepository;

beforeEach(async () => {
  fake = createFakeRegistry({ credentials: [USER] });
  served = await listen(fake);
  image = await fake.addImage("owner/image", "latest");
  network = openNetwork({ insecure: false }, {});
  remote = remoteOf({ registry: served.host, repository: "owner/image" });
});

afterEach(async () => {
  await network.close();
  await served.close();
});

function client(logins = NO_LOGINS): RegistryClient {
  return new RegistryClient({ network, logins, insecure: false, wait: shortWait });
}

async function all<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const found: Value[] = [];
  for await (const value of values) found.push(value);
  return found;
}

describe("a manifest", () => {
  test("is fetched with the token that the registry requests, and named by its digest", async () => {
    const found = await client().manifest(remote, "latest");
    expect(found).toMatchObject({ digest: image.target.digest, mediaType: image.target.mediaType });
    expect(fake.count({ kind: "token" })).toBe(1);
  });

  test("that isn't what its digest says is refused", async () => {
    fake.fail({ kind: "manifest" }, behaviours.corrupted());
    await expect(client().manifest(remote, image.target.digest)).rejects.toThrow(/should be sha256:/);
  });

  test("by tag has the digest of its body, whatever the registry declares", async () => {
    const declared = { "docker-content-digest": `sha256:${"a1".repeat(32)}` };
    fake.fail({ kind: "manifest" }, behaviours.changedHeaders(declared));
    expect((await client().manifest(remote, "latest")).digest).toBe(image.target.digest);
  });

  test("that isn't there is reported with the registry's own code", async () => {
    await expect(client().manifest(remote, "none")).rejects.toMatchObject({
      name: "RegistryFailure",
      status: 404,
      code: "MANIFEST_UNKNOWN",
    });
    expect(await client().head(remote, "none")).toBeNull();
  });

  test("is requested again after a gateway's transient failure", async () => {
    const fault = fake.fail({ kind: "manifest", authorized: true }, { status: 503 }, 1);
    expect((await client().manifest(remote, "latest")).digest).toBe(image.target.digest);
    expect(fault.hits).toBe(1);
  });

  test("is requested again no sooner than the registry wants, and not at all where that is too long", async () => {
    const waits: number[] = [];
    const wait = async (milliseconds: number) => void waits.push(milliseconds);
    const patient = new RegistryClient({ network, logins: NO_LOGINS, insecure: false, wait });
    const limited = (seconds: string) => ({ status: 429, headers: { "Retry-After": seconds } });
    fake.fail({ kind: "manifest", authorized: true }, limited("7"), 1);
    await patient.manifest(remote, "latest");
    expect(waits).toEqual([7_000]);
    fake.fail({ kind: "manifest", authorized: true }, limited("3600"));
    await expect(patient.manifest(remote, "latest")).rejects.toMatchObject({ status: 429, retryAfter: 3600 });
    expect(waits).toEqual([7_000]);
  });

  test("has a heading that says digest, type and size without moving it", async () => {
    const { digest, mediaType } = image.target;
    const size = image.target.bytes.byteLength;
    expect(await client().head(remote, "latest")).toMatchObject({ digest, mediaType, size });
    expect(fake.count({ method: "GET", kind: "manifest" })).toBe(0);
  });
});

describe("a login", () => {
  beforeEach(() => fake.setVisibility("owner/image", "private"));

  test("opens what is private", async () => {
    expect((await client(READER).manifest(remote, "latest")).digest).toBe(image.target.digest);
  });

  test("that is missing is requested", async () => {
    await expect(client().manifest(remote, "latest")).rejects.toThrow(/docker login 127\.0\.0\.1:\d+/);
  });

  test("that is wrong is named with the file it is in, and shown no more often than tells it from one without rights", async () => {
    const wrong: Logins = { loginFor: async () => ({ ...USER, password: "no", source: "config.json" }) };
    await expect(client(wrong).manifest(remote, "latest")).rejects.toThrow(/reader from config\.json/);
    // For this repository, and for none.
    expect(fake.count({ kind: "token" })).toBe(2);
  });

  test("is shown by Basic at once, after the first time that was requested", async () => {
    fake.settings.auth = "basic";
    const reader = client(READER);
    await reader.manifest(remote, "latest");
    await reader.manifest(remote, "latest");
    expect(fake.count({ status: 401 })).toBe(1);
  });

  test("stays behind when the registry redirects to another host", async () => {
    fake.settings.auth = "basic";
    fake.settings.redirect = "absolute";
    const [layer] = image.layers;
    const blob = await client(READER).blob(remote, digest(layer?.digest));
    await readBounded(blob, 1e6, "it");
    const atStorage = fake.requests.filter(({ host }) => host === served.storage.host);
    expect(atStorage.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  test("isn't sent to a realm without TLS that isn't on this machine", async () => {
    fake.settings.realm = "http://auth.example.com/token";
    await expect(client(READER).manifest(remote, "latest")).rejects.toThrow(/--insecure allows that/);
  });
});

describe("a blob", () => {
  test("is given as it comes, whole or in part", async () => {
    const layer = image.layers[0];
    const name = digest(layer?.digest);
    expect((await readBounded(await client().blob(remote, name), 1e6, "it")).byteLength).toBe(layer?.size);
    const part = await client().blob(remote, name, { range: "bytes=1-3" });
    expect(part.status).toBe(206);
    expect((await readBounded(part, 1e6, "it")).byteLength).toBe(3);
  });

  test("has a size without being moved, or isn't there", async () => {
    const layer = image.layers[0];
    expect(await client().hasBlob(remote, digest(layer?.digest))).toBe(layer?.size);
    expect(await client().hasBlob(remote, digest(`sha256:${"0".repeat(64)}`))).toBeNull();
  });
});

describe("listings", () => {
  test("tags are read over all pages, however the registry writes its links", async () => {
    const names = ["a", "b", "c", "d", "latest"];
    for (const tag of names) fake.moveTag("owner/image", tag, image.target.digest);
    fake.settings.tagsPageSize = 2;
    for (const absolute of [false, true]) {
      fake.settings.absoluteLinks = absolute;
      expect(await all(client().tags(remote))).toEqual(names);
    }
  });

  test("referrers come from the API, and from the tag that stands in for it", async () => {
    const subject = {
      mediaType: image.target.mediaType,
      digest: image.target.digest,
      size: image.target.bytes.byteLength,
    };
    const signature = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/vnd.example.signature",
      config: { mediaType: "application/vnd.oci.empty.v1+json", ...image.configs[0] },
      layers: [],
      subject,
    };
    const stored = await fake.addManifest("owner/image", signature);
    const name = digest(image.target.digest);
    const listed = (await client().referrers(remote, name)).map((each) => each.digest);
    expect(listed).toEqual([stored.digest]);
    expect(await client().referrers(remote, name, "application/vnd.example.other")).toEqual([]);
    fake.settings.referrers = "off";
    expect(await client().referrers(remote, name)).toEqual([]);
    const index = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [{ mediaType: stored.mediaType, digest: stored.digest, size: stored.bytes.byteLength }],
    };
    await fake.addManifest("owner/image", index, { tag: name.replace(":", "-") });
    expect((await client().referrers(remote, name)).map((each) => each.digest)).toEqual([stored.digest]);
  });
});

describe("a registry without the referrers API", () => {
  const OTHER_JSON = {
    status: 200,
    headers: { "content-type": "application/json" },
    body: '{"hello":"world"}',
  };
  const PAGE = {
    status: 200,
    headers: { "content-type": "text/html" },
    body: "<!doctype html><title>Log in</title>",
  };
  const ANSWERS = [
    ...[400, 403, 404, 405, 406, 501].map((status) => ({ name: String(status), behaviour: { status } })),
    { name: "a page with 200", behaviour: PAGE },
    { name: "other JSON with 200", behaviour: OTHER_JSON },
  ];

  test.each(ANSWERS)(
    "that answers $name is requested the tag that stands in for it",
    async ({ behaviour }) => {
      const name = digest(image.target.digest);
      fake.fail({ kind: "referrers" }, behaviour);
      expect(await client().referrers(remote, name)).toEqual([]);
      const [entry] = image.manifests;
      const index = {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [{ mediaType: entry?.mediaType, digest: entry?.digest, size: entry?.bytes.byteLength }],
      };
      await fake.addManifest("owner/image", index, { tag: name.replace(":", "-") });
      expect((await client().referrers(remote, name)).map((each) => each.digest)).toEqual([entry?.digest]);
    },
  );

  test("has none where something else than a list is under that tag", async () => {
    fake.settings.referrers = "off";
    const name = digest(image.target.digest);
    const manifest = JSON.parse(new TextDecoder().decode(image.manifests[0]?.bytes));
    await fake.addManifest("owner/image", manifest, { tag: name.replace(":", "-") });
    expect(await client().referrers(remote, name)).toEqual([]);
  });

  test("that fails isn't taken for one without", async () => {
    fake.fail({ kind: "referrers" }, { status: 429, headers: { "retry-after": "3600" } });
    await expect(client().referrers(remote, digest(image.target.digest))).rejects.toMatchObject({
      status: 429,
    });
  });
});

test.each([400, 403, 405, 500, 501])("a HEAD that is served %d is made up for by a GET", async (status) => {
  fake.fail({ method: "HEAD" }, { status });
  const name = digest(image.target.digest);
  expect(await client().head(remote, "latest")).toMatchObject({ digest: name });
  expect(await client().head(remote, "missing")).toBeNull();
  const layer = image.layers[0];
  expect(await client().hasBlob(remote, digest(layer?.digest))).toBe(layer?.size);
});

test("a next page is requested where the registry is, whatever host and port it takes for its own", async () => {
  fake.settings.absoluteLinks = true;
  fake.settings.tagsPageSize = 1;
  await fake.addImage("owner/image", "second");
  fake.fail(
    { kind: "tags" },
    {
      transform: (response) => {
        const headers = new Headers(response.headers);
        headers.set(
          "link",
          (headers.get("link") ?? "").replace(/<http:\/\/[^/]+/, "<https://inside.corp:8443"),
        );
        return new Response(response.body, { status: response.status, headers });
      },
    },
  );
  const tags: string[] = [];
  for await (const tag of client().tags(remote)) tags.push(tag);
  expect(tags).toContain("second");
});

test("a registry on another machine isn't spoken to without TLS", async () => {
  const plain = { ...remote, endpoint: new URL("http://registry.example.com") };
  await expect(client().ping(plain)).rejects.toThrow(/--insecure allows that/);
});
