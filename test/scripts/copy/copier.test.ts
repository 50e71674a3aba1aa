import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Copier, type Job } from "../../../scripts/copy/copier.ts";
import { Registries } from "../../../scripts/copy/registry-io.ts";
import { RegistryClient, remoteOf, writable } from "../../../scripts/registry/client.ts";
import { type Network, openNetwork } from "../../../scripts/registry/network.ts";
import { openProgress } from "../../../scripts/terminal/progress.ts";
import { referrersTag } from "../../../src/oci/digest.ts";
import {
  behaviours,
  createFakeRegistry,
  type FakeRegistry,
  type Image,
  patternBytes,
} from "../../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../../support/node/listen.ts";
import { digest } from "../support/digest.ts";
import { type PushRegistry, startPushRegistry } from "../support/push-registry.ts";
import { shortWait } from "../support/wait.ts";

let fake: FakeRegistry;
let served: ListeningRegistry;
let target: PushRegistry;
let network: Network;
let image: Image;
let registries: Registries;
let copier: Copier;

beforeEach(async () => {
  fake = createFakeRegistry();
  served = await listen(fake);
  target = await startPushRegistry();
  image = await fake.addImage("owner/image", "1.0", { platforms: ["linux/amd64", "linux/arm64"] });
  network = openNetwork({ insecure: false }, {});
  const client = new RegistryClient({
    network,
    logins: { loginFor: async () => null },
    insecure: false,
    wait: shortWait,
  });
  registries = new Registries(client);
  copier = new Copier({ progress: openProgress({ quiet: true }), parallel: 3 });
});

afterEach(async () => {
  await network.close();
  await Promise.all([served.close(), target.close()]);
});

function job(given: Partial<Job> & { repository?: string; reference?: string } = {}): Job {
  const { repository = "mirror/image", reference = "1.0", ...rest } = given;
  return {
    source: registries.source(remoteOf({ registry: served.host, repository: "owner/image" }), reference),
    target: registries.target(writable(remoteOf({ registry: target.host, repository }))),
    tag: "1.0",
    platform: null,
    referrers: false,
    ...rest,
  };
}

/** The references under which the target has something in the repository. */
function references(repository = "mirror/image"): string[] {
  const prefix = `${repository} `;
  return [...target.manifests.keys()]
    .filter((key) => key.startsWith(prefix))
    .map((key) => key.slice(prefix.length));
}

describe("an image of several platforms", () => {
  test("is copied whole with its index, byte for byte", async () => {
    const copied = await copier.copy(job());
    expect(copied).toMatchObject({ digest: image.target.digest, unchanged: false, manifests: 3 });
    const all = [image.target, ...image.manifests].map((each) => each.digest);
    expect(references().sort()).toEqual(["1.0", ...all].sort());
    const put = target.manifests.get("mirror/image 1.0");
    expect(put?.mediaType).toBe(image.target.mediaType);
    expect(Buffer.from(image.target.bytes).equals(put?.bytes ?? Buffer.alloc(0))).toBe(true);
  });

  test("gives one platform if that is wanted, with that platform's digest", async () => {
    const { digest } = await copier.copy(job({ platform: "linux/arm64" }));
    expect(image.manifests.map((each) => each.digest)).toContain(digest);
    expect(references().sort()).toEqual(["1.0", digest].sort());
  });

  test("says which platforms it has if it isn't for the wanted one", async () => {
    await expect(copier.copy(job({ platform: "linux/s390x" }))).rejects.toThrow(
      /it is for linux\/amd64, linux\/arm64/,
    );
  });
});

describe("what exists already", () => {
  test("isn't sent again, nor requested of the source beyond its manifests", async () => {
    await copier.copy(job());
    fake.reset();
    target.requests.length = 0;
    expect(await copier.copy(job())).toMatchObject({ unchanged: true, sent: 0, manifests: 0 });
    expect(target.requests.filter(({ method }) => !["GET", "HEAD"].includes(method))).toEqual([]);
    expect(fake.count({ kind: "blob" })).toBe(0);
  });

  test("gets a second tag without moving anything", async () => {
    await copier.copy(job());
    expect(await copier.copy(job({ tag: "stable" }))).toMatchObject({
      unchanged: false,
      sent: 0,
      manifests: 1,
    });
    expect(references()).toContain("stable");
  });

  test("in another repository of the target is mounted from there", async () => {
    const { sent } = await copier.copy(job());
    expect(await copier.copy(job({ repository: "other/image" }))).toMatchObject({ sent: 0, mounted: sent });
    expect(references("other/image")).toContain("1.0");
  });

  test("of a copy that was ended half-way is left, and the rest follows", async () => {
    const [layer] = image.layers;
    fake.fail({ kind: "blob", path: new RegExp(layer?.digest ?? "") }, { status: 403 });
    await expect(copier.copy(job())).rejects.toMatchObject({ status: 403 });
    expect(references()).not.toContain("1.0");
    const before = target.blobs.size;
    expect(before).toBeGreaterThan(0);
    fake.clearFaults();
    const { sent } = await copier.copy(job());
    expect(sent).toBe(target.blobs.size - before);
    expect(references()).toContain("1.0");
  });
});

describe("a source that fails", () => {
  beforeEach(async () => {
    image = await fake.addImage("owner/image", "large", { layers: [patternBytes(300_000, 7)] });
  });

  test("in the middle of a layer is requested the rest alone", async () => {
    const name = image.layers[0]?.digest ?? "";
    fake.fail({ kind: "blob", path: new RegExp(name) }, behaviours.cutAfter(100_000), 1);
    await copier.copy(job({ reference: "large" }));
    expect(target.blobs.get(name)?.bytes.length).toBe(image.layers[0]?.size);
    const requested = fake.requests.filter(({ path, status }) => path.includes(name) && status !== 401);
    expect(requested.map(({ headers }) => headers.range?.replace(/\d+/, "N"))).toEqual([
      undefined,
      "bytes=N-",
    ]);
  });

  test("and knows no ranges is read again, without sending twice what has been sent", async () => {
    fake.settings.ranges = false;
    const name = image.layers[0]?.digest ?? "";
    fake.fail({ kind: "blob", path: new RegExp(name) }, behaviours.cutAfter(100_000), 1);
    await copier.copy(job({ reference: "large" }));
    expect(target.blobs.has(name)).toBe(true);
  });

  test("with other bytes than the digest says leaves nothing of them at the target", async () => {
    const name = image.layers[0]?.digest ?? "";
    fake.fail({ kind: "blob", path: new RegExp(name) }, behaviours.corrupted());
    await expect(copier.copy(job({ reference: "large" }))).rejects.toThrow(/sent something wrong/);
    expect([target.blobs.has(name), target.uploads.size]).toEqual([false, 0]);
    expect(references()).toEqual([]);
  });
});

test("a target that has something else in the end is reported", async () => {
  const { manifests } = target;
  const set = manifests.set.bind(manifests);
  manifests.set = (key, value) =>
    set(
      key,
      key.endsWith(" 1.0") ? { ...value, bytes: Buffer.concat([value.bytes, Buffer.from("\n")]) } : value,
    );
  await expect(copier.copy(job())).rejects.toThrow(/and was sent sha256:/);
});

test.each([400, 403, 405])("a target that answers %d for what it doesn't have gets it", async (status) => {
  target.settings.missingHead = status;
  target.interfere = ({ method, path }) =>
    method === "GET" && path.includes("/manifests/") && target.manifests.size === 0 ? { status } : null;
  const { digest } = await copier.copy(job());
  expect(references()).toContain(digest);
});

describe("what refers to an image", () => {
  let signature: string;
  let referrer: Awaited<ReturnType<FakeRegistry["addManifest"]>>;

  beforeEach(async () => {
    const config = await fake.addBlob(new TextEncoder().encode("{}"));
    referrer = await fake.addManifest("owner/image", {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/vnd.example.signature",
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: config.digest, size: config.size },
      layers: [],
      subject: {
        mediaType: image.target.mediaType,
        digest: image.target.digest,
        size: image.target.bytes.byteLength,
      },
      annotations: { "org.example.by": "somebody" },
    });
    signature = referrer.digest;
  });

  test("stays behind unless it is requested", async () => {
    await copier.copy(job());
    expect(references()).not.toContain(signature);
  });

  test("comes along, and is listed under its tag where the registry keeps no account of it", async () => {
    expect(await copier.copy(job({ referrers: true }))).toMatchObject({ referrers: 1 });
    expect(references()).toContain(signature);
    const index = target.manifests.get(`mirror/image ${referrersTag(digest(image.target.digest))}`);
    expect(JSON.parse(index?.bytes.toString() ?? "").manifests).toMatchObject([
      {
        digest: signature,
        artifactType: "application/vnd.example.signature",
        annotations: { "org.example.by": "somebody" },
      },
    ]);
  });

  test("is copied once, though the list under its tag leads back to the image and to itself", async () => {
    fake.settings.referrers = "off";
    const entry = (stored: { mediaType: string; digest: string; bytes: Uint8Array }) => {
      return { mediaType: stored.mediaType, digest: stored.digest, size: stored.bytes.byteLength };
    };
    const list = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [entry(image.target), entry(referrer)],
    };
    for (const subject of [image.target.digest, signature]) {
      await fake.addManifest("owner/image", list, { tag: referrersTag(digest(subject)) });
    }
    expect(await copier.copy(job({ referrers: true }))).toMatchObject({ referrers: 1 });
    expect(references()).toContain(signature);
  });

  test("gets no such tag where the registry keeps account of it", async () => {
    target.settings.keepsReferrers = true;
    await copier.copy(job({ referrers: true }));
    expect(references()).toContain(signature);
    expect(references().filter((each) => each.startsWith("sha256-"))).toEqual([]);
  });

  test("by cosign's older tags comes along too", async () => {
    const tag = `${referrersTag(digest(image.target.digest))}.sig`;
    await fake.addImage("owner/image", tag);
    expect(await copier.copy(job({ referrers: true }))).toMatchObject({ referrers: 2 });
    expect(references()).toContain(tag);
  });
});
