/** `portolan tags`, at a mirror as `npm start` runs it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { createFakeRegistry, type FakeRegistry, type Image } from "../../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../../support/node/listen.ts";
import { type Finished, portolan } from "../support/portolan.ts";

/** Milliseconds. The mirror gathers for five seconds what it records. */
const PATIENCE = { timeout: 50_000, interval: 500 };

let fake: FakeRegistry;
let registry: ListeningRegistry;
let image: Image;
let data: string;
let mirror: RunningMirror;

beforeAll(async () => {
  fake = createFakeRegistry({ auth: "none" });
  registry = await listen(fake);
  image = await fake.addImage("owner/image", "1.0");
  data = await mkdtemp(join(tmpdir(), "portolan-tags-"));
  mirror = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data,
    upstreams: { "registry.test": [registry.url] },
    insecure: ["registry.test"],
  });
});
afterAll(async () => {
  await mirror.stop();
  await registry.close();
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

const tags = (...args: string[]): Promise<Finished> =>
  portolan(["tags", ...args, "--mirror", mirror.url, "--data", data]);

test("shows what a tag named, for people and as JSON", async () => {
  const unseen = await tags("registry.test/owner/image");
  expect([unseen.code, unseen.errors]).toEqual([
    1,
    expect.stringContaining("has seen no tag of registry.test/owner/image"),
  ]);
  await (await fetch(`${mirror.url}/v2/registry.test/owner/image/manifests/1.0`)).arrayBuffer();
  await expect.poll(async () => (await tags("registry.test/owner/image:1.0")).code, PATIENCE).toBe(0);
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
