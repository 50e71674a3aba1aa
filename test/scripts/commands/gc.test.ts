/** `portolan gc`, at a mirror as `npm start` runs it. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { useLocalMirror } from "../support/local-mirror.ts";
import { portolan } from "../support/portolan.ts";

const TYPE = "application/vnd.oci.image.manifest.v1+json";
const mirror = useLocalMirror({
  vars: { HOSTED_RETENTION: JSON.stringify({ "hosted/ci/*": { keep: 1 } }) },
});

const gc = (...args: string[]) => mirror.command("gc", ...args);
const at = (path: string) => `${mirror.url}/v2/hosted/ci/app/${path}`;
const tags = async () => ((await (await fetch(at("tags/list"))).json()) as { tags: string[] }).tags;

/** @returns the bytes of its config, its layer and its manifest. */
async function pushImage(tag: string): Promise<number> {
  const push = async (text: string) => {
    const digest = await digestOf(new TextEncoder().encode(text));
    const path = at(`blobs/uploads/?digest=${digest}`);
    expect((await fetch(path, { method: "POST", body: text })).status).toBe(201);
    return { mediaType: "application/octet-stream", digest, size: text.length };
  };
  const config = await push(JSON.stringify({ tag }));
  const layer = await push(tag.repeat(10_000));
  const body = JSON.stringify({ schemaVersion: 2, mediaType: TYPE, config, layers: [layer] });
  const headers = { "Content-Type": TYPE };
  expect((await fetch(at(`manifests/${tag}`), { method: "PUT", body, headers })).status).toBe(201);
  return config.size + layer.size + body.length;
}

test("says what it would delete and free, deletes it, and has nothing left to do", async () => {
  const bytes = await pushImage("one");
  await pushImage("two");
  const expected = { tags: 1, uploads: 0, objects: 0, bytes: 0, waiting: bytes };
  expect((await gc("--dry-run", "--json")).json()).toEqual({ ...expected, dryRun: true });
  expect(await tags()).toEqual(["one", "two"]);
  const { code, output } = await gc();
  expect([code, output]).toEqual([
    0,
    expect.stringMatching(
      /Deleted 1 tag, 0 objects of 0 B\.\n30\.\d kB more will be freed once unused for a day\./,
    ),
  ]);
  expect(await tags()).toEqual(["two"]);
  expect((await gc("--json")).json()).toEqual({ ...expected, tags: 0, dryRun: false });
});

test("without the mirror's key nothing is collected", async () => {
  await pushImage("one");
  await pushImage("two");
  const { code, errors } = await portolan([
    "gc",
    "--mirror",
    mirror.url,
    "--data",
    join(mirror.data, "store"),
  ]);
  expect([code, errors]).toEqual([2, expect.stringContaining("admin")]);
  expect(await tags()).toEqual(["one", "two"]);
});
