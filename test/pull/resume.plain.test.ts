/** A runtime without support for resuming bodies: they are passed through as they come, and break off where they break off. */
import { expect, test, vi } from "vitest";
import { behaviours, patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

vi.mock("../../src/pull/resumable-stream.ts", async (original) => ({
  ...(await original<typeof import("../../src/pull/resumable-stream.ts")>()),
  canResume: async () => false,
}));

const mirror = useMirror();
const LAYER = patternBytes(300_000, 1);

async function addBlob(): Promise<string> {
  const { layers } = await mirror.docker.addImage("library/demo", "latest", { layers: [LAYER] });
  return `/v2/library/demo/blobs/${layers[0]?.digest}`;
}

test("a complete body is sent to the client and stored", async () => {
  const answer = await mirror.ask(await addBlob());
  expect([answer.status, answer.broken]).toEqual([200, false]);
  expect(answer.bytes).toEqual(LAYER);
  expect(await mirror.stored()).toHaveLength(1);
});

test("a body that breaks off breaks off for the client too, isn't resumed, and isn't stored", async () => {
  const path = await addBlob();
  mirror.docker.fail({ kind: "storage" }, behaviours.cutAfter(100_000));
  const answer = await mirror.ask(path);
  expect(answer.broken).toBe(true);
  expect(await mirror.stored()).toEqual([]);
  expect(mirror.docker.requests.filter(({ headers }) => headers.range !== undefined)).toEqual([]);
});
