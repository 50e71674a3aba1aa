/** The record of a blob that was brought into the store. */
import { beforeEach, expect, type MockInstance, test, vi } from "vitest";
import type { FillRecord } from "../src/fill-log.ts";
import { behaviours } from "./support/fake-registry.ts";
import { useMirror } from "./support/mirror.ts";

const mirror = useMirror();
let log: MockInstance;
let digest: string;
let size: number;
let path: string;

beforeEach(async () => {
  log = vi.spyOn(console, "log").mockImplementation(() => {});
  const image = await mirror.docker.addImage("library/demo", "latest");
  digest = image.layers[0]?.digest ?? "";
  size = image.layers[0]?.size ?? 0;
  path = `/v2/library/demo/blobs/${digest}`;
});

function records(): FillRecord[] {
  return log.mock.calls.map(([line]) => JSON.parse(String(line))).filter(({ event }) => event === "stored");
}

const whole = () => ({
  event: "stored",
  upstream: "docker.io",
  repository: "library/demo",
  digest,
  bytes: size,
  ms: expect.any(Number),
});

test("has the blob's name, its bytes and how long it took; a blob that is stored already has none", async () => {
  await mirror.request("/v2/library/demo/manifests/latest");
  await mirror.request(path);
  await mirror.request(path);
  expect(records()).toEqual([whole()]);
  expect(records()[0]?.ms).toBeGreaterThanOrEqual(0);
});

test("follows once the alarm has filled a blob that couldn't be stored as it came", async () => {
  mirror.docker.fail({ kind: "storage", method: "GET" }, behaviours.withoutContentLength());
  await mirror.request(path);
  await mirror.runAlarm(digest);
  expect(records()).toEqual([whole()]);
});

test("isn't written for a range, nor for content that has another digest", async () => {
  await mirror.request(path, { headers: { Range: "bytes=0-9" } });
  mirror.docker.fail({ kind: "storage", method: "GET" }, behaviours.corrupted());
  await mirror.request(path);
  await mirror.runAlarm(digest);
  expect(records()).toEqual([]);
});

test("has no name that could be an access key", async () => {
  const repository = `owner/${"abcdefgh".repeat(4)}`;
  const image = await mirror.docker.addImage(repository, "latest");
  await mirror.request(`/v2/${repository}/blobs/${image.layers[0]?.digest}`);
  expect(records().map((record) => record.repository)).toEqual(["owner/<key>"]);
});
