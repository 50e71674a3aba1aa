/** What counts for a quota: all that is stored for its repositories, until it is collected. */
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { encode, imageManifest } from "../push/support.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { DAY, HOUR, useHosted } from "./hosted-scene.ts";

const { mirror, client, records, collect, pass } = useHosted({ HOSTED_QUOTA: { "hosted/small/*": "10 kB" } });
const APP = "hosted/small/app";
const OTHER = "hosted/small/other";
const ELSEWHERE = "hosted/large";

/** Pushes a blob of 6 kB of the 10 that there are. @returns the status. */
async function push(repository: string, seed: number): Promise<number> {
  const body = patternBytes(6000, seed);
  const path = `/v2/${repository}/blobs/uploads/?digest=${await digestOf(body)}`;
  return (await client.send("POST", path, { body })).status;
}

const remove = async (repository: string, seed: number) =>
  client.send("DELETE", `/v2/${repository}/blobs/${await digestOf(patternBytes(6000, seed))}`);

describe("a blob that is deleted counts", () => {
  test("until it is collected, for all repositories of the pattern", async () => {
    expect(await push(APP, 1)).toBe(201);
    expect((await remove(APP, 1)).status).toBe(202);
    expect([await push(APP, 2), await push(OTHER, 2)]).toEqual([403, 403]);
    pass(DAY - HOUR);
    await collect();
    expect(await push(APP, 2)).toBe(403);
    pass(2 * HOUR);
    await collect();
    expect([await push(OTHER, 2), await mirror.stored()]).toEqual([201, [expect.any(String)]]);
  });

  test("once if it is pushed again", async () => {
    await push(APP, 1);
    await remove(APP, 1);
    expect([await push(OTHER, 1), await push(APP, 1)]).toEqual([201, 201]);
  });

  test("not where another repository still has it, nor once that one has deleted it too", async () => {
    for (const repository of [APP, ELSEWHERE]) await push(repository, 1);
    await remove(APP, 1);
    expect(await push(APP, 2)).toBe(201);
    await remove(APP, 2);
    pass(2 * DAY);
    await push(ELSEWHERE, 1);
    await collect();
    await remove(ELSEWHERE, 1);
    expect(await push(APP, 3)).toBe(201);
  });

  test("not once a repository of another pattern has it", async () => {
    await push(APP, 1);
    await remove(APP, 1);
    expect([await push(ELSEWHERE, 1), await push(APP, 2)]).toEqual([201, 201]);
  });
});

test("a manifest that is deleted counts until it is collected, with its blobs", async () => {
  const config = await client.pushBlob(APP, encode({}));
  const manifest = imageManifest(config, [], { annotations: { a: "x".repeat(8000) } });
  expect((await client.putManifest(APP, "1.0", manifest)).status).toBe(201);
  await client.send("DELETE", `/v2/${APP}/manifests/${await digestOf(encode(manifest))}`);
  expect(await push(APP, 1)).toBe(403);
  pass(DAY + HOUR);
  await collect();
  expect(await push(APP, 1)).toBe(201);
});

test("a repository that its owner deletes counts until it is collected", async () => {
  await push(APP, 1);
  expect(await records().remove("small/app", "all", false)).toMatchObject({ manifests: 0 });
  expect(await push(OTHER, 2)).toBe(403);
  pass(DAY + HOUR);
  await collect();
  expect(await push(OTHER, 2)).toBe(201);
});

test("a blob for which no room is left when its upload ends counts until it is collected, and its upload no more", async () => {
  const upload = await client.startUpload(OTHER);
  const body = patternBytes(6000, 1);
  expect((await client.send("PATCH", upload, { body })).status).toBe(202);
  // Unlike blobs, manifests may take the room of unfinished uploads.
  const config = await client.pushBlob(APP, encode({}));
  const manifest = imageManifest(config, [], { annotations: { a: "x".repeat(4000) } });
  expect((await client.putManifest(APP, "1.0", manifest)).status).toBe(201);
  expect((await client.send("PUT", `${upload}?digest=${await digestOf(body)}`)).status).toBe(403);
  expect((await client.send("GET", upload)).status).toBe(404);
  expect((await client.send("POST", `/v2/${APP}/blobs/uploads/`)).status).toBe(403);
  pass(DAY + HOUR);
  await collect();
  expect((await client.send("POST", `/v2/${APP}/blobs/uploads/`)).status).toBe(202);
});

describe("a manifest that is refused", () => {
  const needing = (seed: number) =>
    imageManifest({ digest: `sha256:${String(seed).padStart(64, "0")}`, bytes: new Uint8Array(1) }, [], {
      annotations: { a: "x".repeat(6000) },
    });
  const put = (manifest: object) => client.putManifest(APP, "1.0", manifest);

  test("for what it needs counts, as it is stored until it is collected, and no more once the quota is used up", async () => {
    expect((await put(needing(1))).status).toBe(404);
    const refused = await put(needing(2));
    expect([refused.status, JSON.stringify(refused.json())]).toEqual([
      403,
      expect.stringContaining("the quota of 10000 bytes for small/* is used up"),
    ]);
    expect(await mirror.stored()).toHaveLength(1);
    pass(DAY + HOUR);
    await collect();
    expect([(await put(needing(2))).status, (await mirror.stored()).length]).toEqual([404, 1]);
  });

  test("isn't counted twice once its repository has it", async () => {
    const bytes = encode({ os: "linux" });
    const config = { digest: await digestOf(bytes), bytes };
    const manifest = imageManifest(config, [], { annotations: { a: "x".repeat(6000) } });
    expect((await put(manifest)).status).toBe(404);
    await client.pushBlob(APP, bytes);
    expect((await put(manifest)).status).toBe(201);
    expect((await put(imageManifest(config, [], { annotations: { a: "y".repeat(3000) } }))).status).toBe(201);
  });
});
