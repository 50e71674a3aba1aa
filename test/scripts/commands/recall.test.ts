/** `portolan recall`, at a mirror as `npm start` runs it, with what it stores on disk. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Image, patternBytes } from "../../support/fake-registry.ts";
import { RECORDED, useLocalMirror } from "../support/local-mirror.ts";
import type { Finished } from "../support/portolan.ts";

const mirror = useLocalMirror();
let image: Image;
let layer: string;

beforeAll(async () => {
  image = await mirror.fake.addImage("owner/image", "1.0", { layers: [patternBytes(100_000, 1)] });
  layer = image.layers[0]?.digest ?? "";
});

const recall = (...args: string[]): Promise<Finished> => mirror.command("recall", ...args);

async function pull(path: string, headers: Record<string, string> = {}): Promise<[number, string]> {
  const { status, text } = await mirror.pull(`owner/image/${path}`, headers);
  return [status, text];
}

describe("recall", () => {
  test("denies a digest at once and after a restart, deletes what is stored, and can be undone", async () => {
    const hex = layer.replace("sha256:", "");
    expect((await pull(`blobs/${layer}`))[0]).toBe(200);
    await expect.poll(mirror.stored).toContain(hex);
    const { code, output } = await recall(layer, "--reason", "a secret is in it");
    expect([code, output]).toEqual([0, expect.stringContaining(`${layer} is denied to all clients.`)]);
    const denied = [
      403,
      expect.stringContaining(`${layer} was recalled by the operator of this mirror: a secret`),
    ];
    expect(await pull(`blobs/${layer}`)).toEqual(denied);
    const files = await readdir(join(mirror.data, "store"), { recursive: true });
    expect(files.filter((file) => file.endsWith(hex))).toEqual([]);

    await mirror.restart();
    expect(await pull(`blobs/${layer}`, { Range: "bytes=0-9" })).toEqual(denied);
    expect((await pull("manifests/1.0"))[0]).toBe(200);
    expect((await recall("--list")).output).toMatch(
      new RegExp(`^digest +recalled +reason\n${layer} +.* ago +a secret is in it$`, "m"),
    );

    const undone = await recall("--undo", layer);
    expect([undone.code, undone.output]).toEqual([0, expect.stringContaining("can be pulled again")]);
    expect((await pull(`blobs/${layer}`))[0]).toBe(200);
    const again = await recall("--undo", layer);
    expect([again.code, again.errors]).toEqual([1, expect.stringContaining("isn't recalled")]);
    expect((await recall("--list")).output).toContain("Nothing is recalled.");
  });

  test("refuses a tag that names a recalled manifest", async () => {
    expect((await pull("manifests/1.0"))[0]).toBe(200);
    await recall(image.target.digest);
    expect((await pull("manifests/1.0"))[0]).toBe(403);
    await expect.poll(async () => (await pull(`manifests/${image.target.digest}`))[0]).toBe(403);
  });

  test("speaks JSON", async () => {
    expect((await recall(layer, "--reason", "why", "--json")).json()).toEqual({
      recalled: layer,
      reason: "why",
      pulls: [],
      tags: [],
    });
    expect((await recall("--list", "--json")).json()).toEqual([
      { digest: layer, reason: "why", at: expect.stringMatching(/^\d{4}-.*Z$/) },
    ]);
    expect((await recall("--undo", layer, "--json")).json()).toEqual({ undone: layer, wasRecalled: true });
    expect((await recall("--list", "--json")).json()).toEqual([]);
  });

  test.each([
    ["nothing to do", [], "name a digest"],
    ["two things to do", ["--list", "--undo", `sha256:${"a".repeat(64)}`], "name a digest"],
    ["what is no image", ["alpine:"], "no image reference"],
    ["a shortened digest", ["sha256:beefdbd8a1da"], "no whole digest"],
    ["a reason of two lines", [`sha256:${"a".repeat(64)}`, "--reason", "a\nb"], "one line"],
    ["a reason without a digest", ["--list", "--reason", "a"], "--reason goes with"],
  ])("is refused with %s", async (_, args, message) => {
    const { code, errors } = await recall(...args);
    expect([code, errors]).toEqual([2, expect.stringContaining(message)]);
    expect((await recall("--list", "--json")).json()).toEqual([]);
  });
});

test("an image is recalled by the digest that it has, and who pulled it and by which tag is shown", async () => {
  expect((await pull("manifests/1.0"))[0]).toBe(200);
  const { digest } = image.target;
  await expect
    .poll(async () => (await recall("--trace", digest)).output, RECORDED)
    .toMatch(/without a key.*registry\.test\/owner\/image:1\.0/s);
  const { code, output } = await recall("registry.test/owner/image:1.0");
  expect([code, output]).toEqual([0, expect.stringContaining(`✓ ${digest} is denied to all clients.`)]);
  expect(output).toContain("registry.test/owner/image:1.0");
  expect((await pull(`manifests/${digest}`))[0]).toBe(403);
  const nothing = await recall("registry.test/owner/image:2.0");
  expect([nothing.code, nothing.errors]).toEqual([2, expect.stringContaining("2.0")]);
});
