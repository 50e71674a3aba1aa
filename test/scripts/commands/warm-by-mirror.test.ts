/** `portolan warm --by-mirror`, at a mirror as `npm start` runs it. */
import { beforeAll, beforeEach, expect, test } from "vitest";
import { type Image, patternBytes } from "../../support/fake-registry.ts";
import { useLocalMirror } from "../support/local-mirror.ts";
import { type Finished, portolan } from "../support/portolan.ts";

const IMAGE = "registry.test/owner/one:1.0";

const mirror = useLocalMirror();
const { fake, stored } = mirror;
let image: Image;

beforeAll(async () => {
  const layers = Array.from({ length: 8 }, (_, index) => patternBytes(20_000, index));
  image = await fake.addImage("owner/one", "1.0", { layers, platforms: ["linux/amd64", "linux/arm64"] });
});
beforeEach(() => {
  fake.reset();
  fake.clearFaults();
});

const warm = (...args: string[]): Promise<Finished> => mirror.command("warm", "--by-mirror", ...args);

const hex = (contents: readonly { digest: string }[]) => contents.map(({ digest }) => digest.slice(7));

test("the mirror stores all of an image, and a second time requests no blob", async () => {
  const { code, output, errors } = await warm(IMAGE);
  expect([code, errors]).toEqual([0, expect.any(String)]);
  expect(output).toMatch(/^✓ registry\.test\/owner\/one:1\.0, 3 manifests: 10 blobs of 16\d\.\d kB stored/);
  const parts = [image.target, ...image.manifests, ...image.configs, ...image.layers];
  await expect.poll(stored).toEqual(hex(parts).sort());
  const requested = fake.count({ kind: "blob" });
  expect((await warm(IMAGE, "--json")).json()).toMatchObject({
    images: [{ blobs: { total: 10, stored: 10, failed: 0 }, platforms: ["linux/amd64", "linux/arm64"] }],
  });
  expect(fake.count({ kind: "blob" })).toBe(requested);
});

test("only the platform that is named is stored", async () => {
  expect((await warm(IMAGE, "--platform", "linux/arm64")).code).toBe(0);
  await expect.poll(stored).toContain(hex(image.configs)[1]);
  expect(await stored()).not.toContain(hex(image.configs)[0]);
});

test("a blob that the registry doesn't have exits with 1, and an image with 2 and the registry's reason", async () => {
  fake.fail({ kind: "blob", path: new RegExp(image.layers[3]?.digest ?? "") }, { status: 404 });
  const { code, output } = await warm(IMAGE, "registry.test/owner/none:1.0");
  expect(output).toContain("9 blobs of");
  expect(output).toContain("1 blob failed");
  expect(output).toMatch(/✗ registry\.test\/owner\/none:1\.0: .*none/);
  expect(code).toBe(2);
  expect((await warm(IMAGE)).code).toBe(1);
});

test("nothing is fetched without the mirror's admin key", async () => {
  const { code, errors } = await portolan(["warm", IMAGE, "--by-mirror", "--mirror", mirror.url], {
    environment: { PORTOLAN_ADMIN_KEY: "another-key-of-more-than-32-characters" },
  });
  expect([code, errors]).toEqual([2, expect.any(String)]);
  expect(await stored()).toEqual([]);
});
