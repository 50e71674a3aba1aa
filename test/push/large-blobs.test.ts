/** Blobs that are larger than one put takes; the limit is set low, to the least that a multipart upload allows. */
import { beforeEach, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { R2Store } from "../../src/store/r2.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";
import { localPusher, streamed } from "./support.ts";

const MIB = 1024 * 1024;
const LIMIT = 5 * MIB;
const CONTENT = patternBytes(LIMIT + 2 * MIB + 700_001, 8);
const TEAM = "hosted/team/app";
const mirror = useMirror({ LOOPBACK: true });
const client = localPusher(mirror);

beforeEach(() => {
  Object.assign(mirror.services, { store: new R2Store(mirror.bindings.STORE, LIMIT) });
});

async function expectStored(digest: string): Promise<void> {
  const { status, bytes } = await client.send("GET", `/v2/${TEAM}/blobs/${digest}`);
  expect(status).toBe(200);
  expect(bytes).toEqual(CONTENT);
  // The parts of the upload are deleted.
  await expect.poll(() => mirror.stored()).toHaveLength(1);
}

test.each(["sha256", "sha512"] as const)("is pushed by one POST, and verified by %s", async (algorithm) => {
  const digest = await digestOf(CONTENT, algorithm);
  const path = `/v2/${TEAM}/blobs/uploads/?digest=${digest}`;
  expect((await client.send("POST", path, { body: CONTENT })).status).toBe(201);
  await expectStored(digest);
});

test("is pushed by POST and PUT", async () => {
  const digest = await digestOf(CONTENT);
  const upload = await client.startUpload(TEAM);
  expect((await client.send("PUT", `${upload}?digest=${digest}`, { body: CONTENT })).status).toBe(201);
  await expectStored(digest);
});

test("is pushed in chunks, one of which is larger than a put takes", async () => {
  const digest = await digestOf(CONTENT);
  const upload = await client.startUpload(TEAM);
  const cuts = [0, MIB, 7 * MIB];
  for (const [index, start] of cuts.entries()) {
    const body = CONTENT.slice(start, cuts[index + 1]);
    expect((await client.send("PATCH", upload, { body })).status).toBe(202);
  }
  expect((await client.send("PUT", `${upload}?digest=${digest}`)).status).toBe(201);
  await expectStored(digest);
});

test("is pushed by a PATCH without a length", async () => {
  const digest = await digestOf(CONTENT);
  const upload = await client.startUpload(TEAM);
  expect((await client.send("PATCH", upload, { body: streamed(CONTENT) })).status).toBe(202);
  expect((await client.send("PUT", `${upload}?digest=${digest}`)).status).toBe(201);
  await expectStored(digest);
});

test("with another digest is refused, and nothing of it stays", async () => {
  const other = await digestOf(patternBytes(10, 1));
  const path = `/v2/${TEAM}/blobs/uploads/?digest=${other}`;
  const { status, json } = await client.send("POST", path, { body: CONTENT });
  expect([status, json().errors]).toEqual([400, [expect.objectContaining({ code: "DIGEST_INVALID" })]]);
  await expect.poll(() => mirror.stored()).toEqual([]);
});

test("leaves nothing where the store fails between two pieces", async () => {
  const digest = await digestOf(CONTENT);
  const store = mirror.services.store;
  const putPieces = store.putPieces.bind(store);
  store.putPieces = (key, pieces) =>
    putPieces(key, [
      ...pieces.slice(0, 1),
      { length: LIMIT, write: () => Promise.reject(new Error("gone")) },
    ]);
  const path = `/v2/${TEAM}/blobs/uploads/?digest=${digest}`;
  const { status } = await client.send("POST", path, { body: CONTENT });
  expect(status).toBe(503);
  expect((await client.send("GET", `/v2/${TEAM}/blobs/${digest}`)).status).toBe(404);
  expect((await mirror.stored()).filter((key) => key.startsWith("hosted/"))).toEqual([]);
});
