/** `portolan release`, `portolan gone` and `portolan pin`, at a mirror as `npm start` runs it. */
import { expect, test } from "vitest";
import { patternBytes } from "../../support/fake-registry.ts";
import { RECORDED, useLocalMirror } from "../support/local-mirror.ts";

const IMAGE = "registry.test/owner/image:1.0";

const mirror = useLocalMirror({
  vars: { TAG_TTL: "0", COOLDOWN: '{"registry.test/owner/image":"7d"}', KEEP: "registry.test/*" },
});
const { fake, command: owner } = mirror;

async function publish(seed: number): Promise<string> {
  const { target } = await fake.addImage("owner/image", "1.0", { layers: [patternBytes(100, seed)] });
  return target.digest;
}

/** @returns the digest that a pull gets, and the Warning beside it. */
async function pull(): Promise<[string | null, string | null]> {
  const { headers } = await mirror.pull("owner/image/manifests/1.0");
  return [headers.get("Docker-Content-Digest"), headers.get("Warning")];
}

test("lets the newest digest through, lists it, and undoes that, for people and as JSON", async () => {
  const [first] = [await publish(1), await pull()];
  const second = await publish(2);
  expect((await pull())[0]).toBe(first);
  expect((await owner("release", "--list")).output).toContain("Nothing is released.");
  const { code, output } = await owner("release", IMAGE);
  expect([code, output]).toEqual([0, expect.stringContaining(`${IMAGE} is served with ${second}`)]);
  expect((await pull())[0]).toBe(second);
  expect((await owner("tags", IMAGE)).output).toMatch(new RegExp(`${second} .* served, released$`, "m"));
  expect((await owner("release", "--list", "--json")).json()).toMatchObject([{ digest: second, tag: "1.0" }]);
  expect((await owner("release", IMAGE, "--undo", "--json")).json()).toEqual({
    undone: IMAGE,
    wasReleased: true,
  });
  expect((await pull())[0]).toBe(first);
  const again = await owner("release", IMAGE, "--undo");
  expect([again.code, again.errors]).toEqual([
    1,
    expect.stringContaining(`nothing is released for ${IMAGE}`),
  ]);
});

test.each([
  [["release"], "name an image, or give --list"],
  [["release", IMAGE, "--list"], "name an image, or give --list"],
  [["release", `${IMAGE}@sha256:${"a".repeat(64)}`], "name the image by its tag"],
  [["release", "registry.test/owner/other:1.0"], "COOLDOWN doesn't apply to registry.test/owner/other:1.0"],
])("release says what is wrong with %o", async (args, problem) => {
  const { code, errors } = await owner(...args);
  expect([code, errors]).toEqual([2, expect.stringContaining(problem)]);
});

test("release exits with 1 for a tag that neither the mirror nor its registry knows", async () => {
  const { code, errors } = await owner("release", "registry.test/owner/image:none");
  expect([code, errors]).toEqual([1, expect.stringContaining("found nothing behind")]);
});

test("gone lists what was deleted upstream and is served on", async () => {
  const digest = await publish(3);
  await pull();
  expect((await owner("gone")).output).toContain("Nothing that KEEP names was deleted upstream.");
  fake.removeTag("owner/image", "1.0");
  expect(await pull()).toEqual([digest, expect.stringContaining("was deleted upstream")]);
  await expect.poll(async () => (await owner("gone", "--json")).json(), RECORDED).toHaveLength(1);
  const { output } = await owner("gone");
  expect(output).toMatch(
    new RegExp(`^image +digest +deleted\n${IMAGE} +${digest.slice(0, 19)} +.* ago$`, "m"),
  );
});

test("pin keeps an image by name or pattern, lists what is kept, and undoes that", async () => {
  await publish(1);
  await pull();
  expect((await owner("pin", "--list")).output).toContain("Nothing is pinned.");
  const pinned = await owner("pin", IMAGE);
  expect([pinned.code, pinned.output]).toEqual([0, expect.stringContaining(`✓ ${IMAGE} stays`)]);
  expect((await owner("pin", "ghcr.io/team/*")).code).toBe(0);
  expect((await owner("pin", "--list", "--json")).json()).toEqual([
    { pattern: IMAGE, from: "mirror" },
    { pattern: "ghcr.io/team/*", from: "mirror" },
  ]);
  expect((await owner("ls")).output).toMatch(/registry\.test\/owner\/image:1\.0 .* never /);
  expect((await owner("pin", "ghcr.io/team/*", "--undo", "--json")).json()).toEqual({
    undone: "ghcr.io/team/*",
    wasPinned: true,
  });
  expect((await owner("pin", "ghcr.io/team/*", "--undo")).code).toBe(1);
  expect((await owner("pin", "*:?")).code).toBe(2);
  expect((await owner("pin")).code).toBe(2);
});
