/** Garbage collection of hosted content: nothing that is referenced is lost, nothing else stays beyond a day. */
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { HostedRecords } from "../../src/index.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import { encode, imageManifest } from "../push/support.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { DAY, HOUR, useHosted } from "./hosted-scene.ts";

const { mirror, client, records, collect, pass } = useHosted();
const TEAM = "hosted/team/app";
const NOTHING = {
  tags: 0,
  unlinked: 0,
  deleted: 0,
  freed: 0,
  uploads: 0,
  waiting: 0,
  hasMore: false,
};
const pulls = async (path: string) => (await client.send("GET", `/v2/${TEAM}/${path}`)).status;

test("an image stays for ever, with all that it needs", async () => {
  const image = await client.pushImage(TEAM, "1.0");
  pass(30 * DAY);
  expect(await collect()).toEqual(NOTHING);
  expect([await pulls("manifests/1.0"), await pulls(`blobs/${image.layer.digest}`)]).toEqual([200, 200]);
});

test("a deleted image is freed after a day, and the dry run says how much", async () => {
  const image = await client.pushImage(TEAM, "1.0");
  const bytes = [image, image.config, image.layer].reduce((sum, each) => sum + each.bytes.byteLength, 0);
  await client.send("DELETE", `/v2/${TEAM}/manifests/${image.digest}`);
  pass(DAY - HOUR);
  expect(await collect()).toEqual({ ...NOTHING, waiting: bytes });
  expect(await mirror.stored()).toHaveLength(3);
  pass(2 * HOUR);
  const expected = { ...NOTHING, unlinked: 2, deleted: 3, freed: bytes };
  for (let time = 0; time < 2; time++) expect(await collect(true)).toEqual(expected);
  expect(await mirror.stored()).toHaveLength(3);
  expect(await collect()).toEqual(expected);
  expect(await mirror.stored()).toEqual([]);
});

test("content that another repository or tag needs stays when one of them is deleted", async () => {
  const image = await client.pushImage(TEAM, "1.0");
  await client.putManifest(TEAM, "latest", image.bytes);
  await client.send("DELETE", `/v2/${TEAM}/manifests/1.0`);
  await client.pushImage("hosted/other", "1.0");
  await client.send("DELETE", `/v2/hosted/other/manifests/1.0`);
  pass(3 * DAY);
  await collect();
  expect([await pulls("manifests/latest"), await pulls(`blobs/${image.layer.digest}`)]).toEqual([200, 200]);
});

describe("a blob without a manifest", () => {
  test("is freed a day after it was pushed", async () => {
    await client.pushBlob(TEAM, patternBytes(10));
    pass(DAY + HOUR);
    expect(await collect()).toMatchObject({ unlinked: 1, deleted: 1, freed: 10 });
    expect(await mirror.stored()).toEqual([]);
  });

  test("stays for a client that has found it and pushes the manifest next", async () => {
    const layer = await client.pushBlob(TEAM, patternBytes(10));
    pass(DAY - HOUR / 2);
    expect((await client.send("HEAD", `/v2/${TEAM}/blobs/${layer.digest}`)).status).toBe(200);
    pass(2 * HOUR);
    await collect();
    const config = await client.pushBlob(TEAM, encode({}));
    expect((await client.putManifest(TEAM, "1.0", imageManifest(config, [layer]))).status).toBe(201);
    pass(2 * DAY);
    await collect();
    expect(await pulls(`blobs/${layer.digest}`)).toBe(200);
  });

  test("that is pushed again while it is deleted is there afterwards", async () => {
    const bytes = patternBytes(10);
    await client.pushBlob(TEAM, bytes);
    pass(2 * DAY);
    const { store } = mirror.services;
    const original = store.delete.bind(store);
    const reservation = vi.spyOn(HostedRecords.prototype, "reserve");
    const deletion = vi.spyOn(store, "delete").mockImplementationOnce(async (keys) => {
      await expect.poll(() => reservation.mock.calls.length).toBe(1);
      await original(keys);
    });
    const collected = collect();
    await expect.poll(() => deletion.mock.calls.length).toBe(1);
    const pushed = client.pushBlob(TEAM, bytes);
    const { digest } = await pushed;
    await collected;
    expect(await pulls(`blobs/${digest}`)).toBe(200);
    pass(HOUR);
    await collect();
    expect(await pulls(`blobs/${digest}`)).toBe(200);
  });
});

test("a mount keeps what its source loses", async () => {
  const { layer, digest } = await client.pushImage(TEAM, "1.0");
  await client.send("POST", `/v2/hosted/other/blobs/uploads/?mount=${layer.digest}&from=${TEAM}`);
  await client.send("DELETE", `/v2/${TEAM}/manifests/${digest}`);
  const config = await client.pushBlob("hosted/other", encode({}));
  await client.putManifest("hosted/other", "1.0", imageManifest(config, [layer]));
  pass(3 * DAY);
  await collect();
  expect((await client.send("GET", `/v2/hosted/other/blobs/${layer.digest}`)).status).toBe(200);
});

test("a mount keeps a blob whose source is deleted and collected between the look-up and the link", async () => {
  const { layer, digest } = await client.pushImage(TEAM, "1.0");
  pass(2 * DAY);
  const findBlob = HostedRecords.prototype.findBlob;
  const lookUp = vi.spyOn(HostedRecords.prototype, "findBlob").mockImplementationOnce(async function (
    this: HostedRecords,
    repository,
    wanted,
  ) {
    const size = await findBlob.call(this, repository, wanted);
    const policy = { isImmutable: false, allowsSparse: false, quota: null };
    await this.deleteManifest(repository, digest as Digest, policy);
    await this.deleteBlob(repository, wanted, policy);
    await this.collect(false);
    return size;
  });
  const mount = `/v2/hosted/other/blobs/uploads/?mount=${layer.digest}&from=${TEAM}`;
  expect((await client.send("POST", mount)).status).toBe(201);
  expect(lookUp).toHaveBeenCalledOnce();
  await collect();
  expect((await client.send("GET", `/v2/hosted/other/blobs/${layer.digest}`)).status).toBe(200);
});

test("two tags of one digest that are pushed at once name it, and it outlasts either", async () => {
  const image = await client.pushImage(TEAM, "first");
  const pushes = ["second", "third"].map((tag) => client.putManifest(TEAM, tag, image.bytes));
  const deleted = client.send("DELETE", `/v2/${TEAM}/manifests/first`);
  expect((await Promise.all(pushes)).map(({ status }) => status)).toEqual([201, 201]);
  expect((await deleted).status).toBe(202);
  await client.send("DELETE", `/v2/${TEAM}/manifests/second`);
  pass(3 * DAY);
  await collect();
  const { headers } = await client.send("HEAD", `/v2/${TEAM}/manifests/third`);
  expect(headers.get("Docker-Content-Digest")).toBe(image.digest);
  expect(await pulls(`blobs/${image.layer.digest}`)).toBe(200);
});

test("an upload that no client continues is given up after a day, with its parts", async () => {
  const upload = await client.startUpload(TEAM);
  await client.send("PATCH", upload, { body: patternBytes(100) });
  pass(DAY + HOUR);
  expect(await collect()).toMatchObject({ uploads: 1 });
  await expect.poll(() => mirror.stored()).toEqual([]);
  expect((await client.send("GET", upload)).status).toBe(404);
});

test("parts that came to the store and never to the records are collected, and those of uploads stay", async () => {
  const upload = await client.startUpload(TEAM);
  await client.send("PATCH", upload, { body: patternBytes(500, 2) });
  const parts = await mirror.stored();
  await mirror.bindings.STORE.put(`uploads/${crypto.randomUUID()}/${crypto.randomUUID()}`, "x");
  expect(await mirror.stored()).toHaveLength(2);
  expect(await collect()).toEqual(NOTHING);
  expect(await mirror.stored()).toEqual(parts);
});

test("content whose push failed between the store and the record is collected too", async () => {
  const bytes = patternBytes(10);
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(HostedRecords.prototype, "linkBlob").mockRejectedValueOnce(new Error("the object has restarted"));
  const path = `/v2/${TEAM}/blobs/uploads/?digest=${await digestOf(bytes)}`;
  expect((await client.send("POST", path, { body: bytes })).status).toBe(500);
  expect(await mirror.stored()).toHaveLength(1);
  pass(DAY + HOUR);
  await collect();
  expect(await mirror.stored()).toEqual([]);
});

test("the alarm collects by itself, and comes again", async () => {
  await client.pushBlob(TEAM, patternBytes(10));
  pass(DAY + HOUR);
  expect(await runDurableObjectAlarm(records())).toBe(true);
  expect(await mirror.stored()).toEqual([]);
  await client.pushBlob(TEAM, patternBytes(10));
  expect(await runDurableObjectAlarm(records())).toBe(true);
});

test("the alarm collects more than one batch", async () => {
  await runInDurableObject(records(), async (object) => {
    for (let count = 0; count < 501; count++) {
      await object.reserve("blobs", await digestOf(new TextEncoder().encode(String(count))));
    }
  });
  pass(DAY + HOUR);
  expect(await collect(true)).toMatchObject({ deleted: 501, hasMore: false });
  expect(await runDurableObjectAlarm(records())).toBe(true);
  expect(await collect(true)).toEqual(NOTHING);
});

test("of tens of thousands of references that are missing, five are looked for", async () => {
  const references = Array.from({ length: 20_000 }, (_, number) => ({
    kind: "blobs" as const,
    digest: `sha256:${number.toString(16).padStart(64, "0")}` as Digest,
  }));
  const described = { mediaType: "application/vnd.oci.image.manifest.v1+json", size: 1, annotations: {} };
  const manifest = {
    ...{ ...described, digest: `sha256:${"f".repeat(64)}` as Digest, references },
    ...{ subject: null, artifactType: null },
  };
  const policy = { isImmutable: false, allowsSparse: false, quota: null };
  const result = await records().putManifest("team/app", manifest, ["1.0"], policy);
  expect(result).toEqual({ kind: "missing", references: references.slice(0, 5) });
});
