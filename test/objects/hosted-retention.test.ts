/** Retention of hosted tags: what the hourly run deletes, and that nothing which is still needed goes with it. */
import { runDurableObjectAlarm } from "cloudflare:test";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { OCI_INDEX, OCI_MANIFEST } from "../../src/oci/mediatypes.ts";
import { descriptor, encode, imageManifest, type Pushed } from "../push/support.ts";
import { DAY, HOUR, useHosted } from "./hosted-scene.ts";

const { mirror, client, records, collect, pass } = useHosted({
  HOSTED_IMMUTABLE: ["hosted/ci/release"],
  HOSTED_RETENTION: { "hosted/ci/*": { keep: 1, tags: ["v*"] } },
});
const CI = "hosted/ci/app";
const tagsOf = async (repository: string) =>
  (await client.send("GET", `/v2/${repository}/tags/list`)).json().tags;
/** Looked up in the store: a request for a manifest would keep it. */
const stored = async ({ digest }: Pushed, kind = "manifests") =>
  (await mirror.stored()).some((key) => key.startsWith(`hosted/${kind}/`) && key.endsWith(digest.slice(7)));
const bytesOf = (contents: Pushed[]) => contents.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);

/** Lets so many days pass, with a run every few hours. */
async function days(count: number): Promise<void> {
  for (let time = 0; time < count * 4; time++) {
    pass(6 * HOUR + 1000);
    await collect();
  }
}

async function push(repository: string, ...tags: string[]) {
  const images = [];
  for (const tag of tags) {
    images.push(await client.pushImage(repository, tag));
    pass(1000);
  }
  return images;
}

async function pushIndex(tag: string, children: Pushed[]): Promise<Pushed> {
  const index = {
    schemaVersion: 2,
    mediaType: OCI_INDEX,
    manifests: children.map((child) => descriptor(child, OCI_MANIFEST)),
    annotations: { tag },
  };
  expect((await client.putManifest(CI, tag, index, OCI_INDEX)).status).toBe(201);
  pass(1000);
  return { bytes: encode(index), digest: await digestOf(encode(index)) };
}

/** An image without a tag. */
async function pushUntagged(seed: string, more: object = {}): Promise<Pushed> {
  const config = await client.pushBlob(CI, encode({ seed }));
  const bytes = encode(imageManifest(config, [], more));
  const digest = await digestOf(bytes);
  expect((await client.putManifest(CI, digest, bytes)).status).toBe(201);
  return { bytes, digest };
}

describe("the hourly run", () => {
  test("deletes the tags that no rule keeps, by itself", async () => {
    await push(CI, "v1", "a", "b");
    await push("hosted/team/app", "a", "b");
    await push("hosted/ci/release", "a", "b");
    expect(await runDurableObjectAlarm(records())).toBe(true);
    expect(await tagsOf(CI)).toEqual(["b", "v1"]);
    expect(await tagsOf("hosted/team/app")).toEqual(["a", "b"]);
    expect(await tagsOf("hosted/ci/release")).toEqual(["a", "b"]);
  });

  test("frees the images of these tags, and says beforehand how much", async () => {
    const [old, kept] = await push(CI, "a", "b");
    if (!old || !kept) throw new Error("nothing was pushed");
    const bytes = bytesOf([old, old.config, old.layer]);
    expect(await collect(true)).toMatchObject({ tags: 1, freed: 0, waiting: bytes });
    expect(await tagsOf(CI)).toEqual(["a", "b"]);
    expect(await collect()).toMatchObject({ tags: 1, freed: 0, waiting: bytes });
    pass(DAY - HOUR);
    await collect();
    expect(await stored(old)).toBe(true);
    await days(4);
    expect([await stored(old), await stored(old.layer, "blobs")]).toEqual([false, false]);
    expect(await mirror.stored()).toHaveLength(3);
    expect((await client.send("GET", `/v2/${CI}/manifests/b`)).status).toBe(200);
    expect((await client.send("GET", `/v2/${CI}/blobs/${kept.layer.digest}`)).status).toBe(200);
  });

  test("leaves an image that another tag names", async () => {
    const [image] = await push(CI, "a");
    await client.putManifest(CI, "v1", image?.bytes ?? {});
    await push(CI, "b");
    await days(4);
    expect(await tagsOf(CI)).toEqual(["b", "v1"]);
    expect((await client.send("GET", `/v2/${CI}/manifests/v1`)).status).toBe(200);
  });

  test("leaves an image that is pulled by its digest every day", async () => {
    const [image] = await push(CI, "a", "b");
    for (let day = 0; day < 5; day++) {
      await days(0.5);
      const pulled = await client.send("GET", `/v2/${CI}/manifests/${image?.digest}`);
      expect(pulled.status).toBe(200);
    }
    await days(4);
    expect(image && (await stored(image))).toBe(false);
  });

  test("leaves what was pushed without a tag", async () => {
    const untagged = await pushUntagged("x");
    await push(CI, "a", "b");
    await days(4);
    expect(await stored(untagged)).toBe(true);
  });

  test("leaves an image that was released and is pushed again without a tag", async () => {
    const [image] = await push(CI, "a", "b");
    await collect();
    await client.putManifest(CI, image?.digest ?? "", image?.bytes ?? {});
    await days(4);
    expect(image && (await stored(image))).toBe(true);
  });
});

describe("the images of an index", () => {
  test("go with it, but for those that another index has", async () => {
    const [only, shared, later] = [
      await pushUntagged("only"),
      await pushUntagged("shared"),
      await pushUntagged("later"),
    ];
    const before = await pushIndex("a", [only, shared]);
    const after = await pushIndex("b", [shared, later]);
    await days(5);
    expect(await tagsOf(CI)).toEqual(["b"]);
    expect([await stored(before), await stored(only)]).toEqual([false, false]);
    for (const each of [after, shared, later]) expect(await stored(each)).toBe(true);
  });
});

describe("what refers to an image", () => {
  test("goes with it, and stays with one that stays", async () => {
    const [old, kept] = await push(CI, "a", "b");
    if (!old || !kept) throw new Error("nothing was pushed");
    const refer = (image: Pushed, seed: string) =>
      pushUntagged(seed, { subject: descriptor(image, OCI_MANIFEST), artifactType: "application/vnd.a" });
    const [gone, stays] = [await refer(old, "1"), await refer(kept, "2")];
    await days(5);
    expect([await stored(gone), await stored(stays)]).toEqual([false, true]);
  });

  test("by its tag goes once the image is gone", async () => {
    const [old, kept] = await push(CI, "a", "b");
    if (!old || !kept) throw new Error("nothing was pushed");
    const signatureOf = ({ digest }: Pushed) => `${digest.replace(":", "-")}.sig`;
    await push(CI, signatureOf(old), signatureOf(kept));
    await days(1);
    expect(await tagsOf(CI)).toContain(signatureOf(kept));
    await days(6);
    expect(await tagsOf(CI)).toEqual(["b", signatureOf(kept)]);
    expect(await mirror.stored()).toHaveLength(6);
  });
});
