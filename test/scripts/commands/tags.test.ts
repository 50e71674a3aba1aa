/** `portolan tags`, at a mirror as `npm start` runs it. */
import { beforeAll, expect, test } from "vitest";
import type { Image } from "../../support/fake-registry.ts";
import { RECORDED, useLocalMirror } from "../support/local-mirror.ts";
import type { Finished } from "../support/portolan.ts";

const mirror = useLocalMirror();
let image: Image;

beforeAll(async () => {
  image = await mirror.fake.addImage("owner/image", "1.0");
});

const tags = (...args: string[]): Promise<Finished> => mirror.command("tags", ...args);

test("shows what a tag named, for people and as JSON", async () => {
  const unseen = await tags("registry.test/owner/image");
  expect([unseen.code, unseen.errors]).toEqual([
    1,
    expect.stringContaining("has seen no tag of registry.test/owner/image"),
  ]);
  await mirror.pull("owner/image/manifests/1.0");
  await expect.poll(async () => (await tags("registry.test/owner/image:1.0")).code, RECORDED).toBe(0);
  const { output } = await tags("registry.test/owner/image");
  expect(output).toMatch(
    new RegExp(
      `^registry.test/owner/image:1.0\n +digest +from +to\n +${image.target.digest} +.* ago +last seen .* ago +served$`,
      "m",
    ),
  );
  expect((await tags("registry.test/owner/image", "--json")).json()).toEqual([
    {
      upstream: "registry.test",
      repository: "owner/image",
      tag: "1.0",
      visibility: expect.stringMatching(/^p/),
      history: [
        {
          digest: image.target.digest,
          from: expect.stringMatching(/Z$/),
          to: expect.stringMatching(/Z$/),
          isCurrent: true,
          isReleased: false,
        },
      ],
      served: image.target.digest,
    },
  ]);
});

test("refuses a digest", async () => {
  const { code, errors } = await tags(`registry.test/owner/image@${image.target.digest}`);
  expect([code, errors]).toEqual([2, expect.stringContaining("name the image by its tag")]);
});
