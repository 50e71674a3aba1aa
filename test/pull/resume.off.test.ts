/** RESUME = false: a body that breaks off upstream breaks off for the client too, and the alarm fetches the blob again. */
import { expect, test } from "vitest";
import { behaviours, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const mirror = useMirror({ RESUME: "false" });
const LAYER = patternBytes(300_000, 1);

async function addBlob(): Promise<{ path: string; digest: string }> {
  const { layers } = await mirror.docker.addImage("library/demo", "latest", { layers: [LAYER] });
  const digest = layers[0]?.digest ?? "";
  return { path: `/v2/library/demo/blobs/${digest}`, digest };
}

test("a complete body is sent to the client and stored", async () => {
  const { path } = await addBlob();
  const response = await mirror.request(path);
  expect([response.status, response.broken]).toEqual([200, false]);
  expect(response.bytes).toEqual(LAYER);
  expect(await mirror.stored()).toHaveLength(1);
});

test("a body that breaks off isn't resumed and isn't stored, until the alarm fetches the whole", async () => {
  const { path, digest } = await addBlob();
  mirror.docker.fail({ kind: "storage" }, behaviours.cutAfter(100_000), 1);
  expect((await mirror.request(path)).broken).toBe(true);
  expect(mirror.docker.requests.filter(({ headers }) => headers.range !== undefined)).toEqual([]);
  await mirror.runAlarm(digest);
  await expect.poll(() => mirror.stored()).toHaveLength(1);
});
