/** `portolan status`, `ls`, `rm`, `prune` and the variable PIN, at a mirror as `npm start` runs it. */
import { rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Image, patternBytes } from "../../support/fake-registry.ts";
import { useLocalMirror } from "../support/local-mirror.ts";
import { portolan } from "../support/portolan.ts";

const SHARED = patternBytes(200_000, 1);

const mirror = useLocalMirror({ vars: { PIN: "quay.io/kept/*" } });
const { fake, stored, command: owner } = mirror;
let images: { one: Image; two: Image };

beforeAll(async () => {
  const one = await fake.addImage("owner/one", "1.0", { layers: [SHARED, patternBytes(50_000, 2)] });
  const two = await fake.addImage("owner/two", "2.0", { layers: [SHARED, patternBytes(70_000, 3)] });
  images = { one, two };
});

async function pull(repository: string, tag: string, { configs, layers }: Image): Promise<void> {
  for (const { digest } of [...configs, ...layers]) {
    await mirror.pull(`${repository}/blobs/${digest}`);
  }
  await mirror.pull(`${repository}/manifests/${tag}`);
  await expect.poll(async () => (await stored()).length).toBeGreaterThanOrEqual(3);
}

async function pullBoth(): Promise<void> {
  await pull("owner/one", "1.0", images.one);
  await pull("owner/two", "2.0", images.two);
  await expect.poll(async () => (await stored()).length).toBe(7);
  // The records of tags are written after the response.
  await expect.poll(async () => (await owner("ls")).output).toContain("2 images");
}

const hex = (digest = "") => digest.replace(/^.*:/, "");

describe("ls", () => {
  test("lists images with all that they take, and what they take alone", async () => {
    await pullBoth();
    const { code, output, errors } = await owner("ls");
    expect([code, errors]).toEqual([0, ""]);
    expect(output).toMatch(/^image +digest +size +alone +used +leaves +confirmed/);
    expect(output).toMatch(
      /registry\.test\/owner\/one:1\.0 +sha256:[0-9a-f]{12} +25\d(\.\d)? kB +5\d(\.\d)? kB +20\d\d-\d\d-\d\d +[12] .* ago$/m,
    );
    expect(output).toMatch(
      /registry\.test\/owner\/two:2\.0 +sha256:[0-9a-f]{12} +27\d(\.\d)? kB +7\d(\.\d)? kB +20\d\d-\d\d-\d\d +[12] .* ago$/m,
    );
    expect(output).toContain("2 images");
    const objects = await owner("ls", "--objects", "blobs/*");
    expect(objects.output).toMatch(/^object +size +stored +used\nblobs\/sha256\/.*\n\n5 objects/s);
  });

  test("says which isn't stored whole, takes a pattern, and speaks JSON", async () => {
    await pullBoth();
    await mirror.pull("owner/one/manifests/1.0");
    await rm(join(mirror.data, "store/blobs/sha256", hex(images.two.layers[1]?.digest).slice(0, 2)), {
      recursive: true,
    });
    const { code, json } = await owner("ls", "registry.test/owner/t*", "--json");
    expect([code, json()]).toEqual([
      0,
      [
        expect.objectContaining({
          image: "registry.test/owner/two:2.0",
          digest: images.two.target.digest,
          isWhole: false,
        }),
      ],
    ]);
    expect((await owner("ls", "ghcr.io/*")).code).toBe(1);
    expect((await owner("ls", "no pattern")).code).toBe(2);
  });
});

describe("rm", () => {
  test("removes an image, and leaves what another one needs", async () => {
    await pullBoth();
    const dry = await owner("rm", "registry.test/owner/one:1.0", "--dry-run");
    expect(dry.output).toMatch(/Would free 5\d(\.\d)? kB in 3 objects\./);
    expect(await stored()).toHaveLength(7);
    const { code, output, errors } = await owner("rm", "registry.test/owner/one:1.0");
    expect([code, errors]).toEqual([0, ""]);
    expect(output).toMatch(/✓ registry\.test\/owner\/one:1\.0\nFreed 5\d(\.\d)? kB in 3 objects\./);
    const { target, configs, layers } = images.two;
    expect(await stored()).toEqual([target, ...configs, ...layers].map(({ digest }) => hex(digest)).sort());
    expect((await owner("ls")).output).not.toContain("owner/one");
    fake.reset();
    await mirror.pull(`owner/one/manifests/1.0`);
    expect(fake.count({ kind: "manifest", method: "GET" })).toBe(1);
  });

  test("leaves what was pulled by digest, without a tag", async () => {
    await pull("owner/one", "1.0", images.one);
    await pull("owner/two", images.two.target.digest, images.two);
    await expect.poll(async () => (await stored()).length).toBe(7);
    await owner("rm", "registry.test/owner/one:1.0");
    expect(await stored()).toContain(hex(images.two.layers[0]?.digest));
  });

  test("removes nothing if one of them isn't there", async () => {
    await pullBoth();
    const { code, errors } = await owner(
      "rm",
      "registry.test/owner/one:1.0",
      "registry.test/owner/three:3.0",
    );
    expect([code, errors]).toEqual([
      2,
      expect.stringContaining("registry.test/owner/three:3.0 isn't stored; nothing was removed"),
    ]);
    expect(await stored()).toHaveLength(7);
  });
});

describe("prune", () => {
  test("removes blobs without a manifest that are an hour old, and no others", async () => {
    await pullBoth();
    const stray = await fake.addBlob(patternBytes(30_000, 9), { repository: "owner/one" });
    const young = await fake.addBlob(patternBytes(40_000, 10), { repository: "owner/one" });
    for (const { digest } of [stray, young]) {
      await mirror.pull(`owner/one/blobs/${digest}`);
    }
    await expect.poll(stored).toHaveLength(9);
    const file = join(mirror.data, "store/blobs/sha256", hex(stray.digest).slice(0, 2), hex(stray.digest));
    await utimes(file, new Date(), new Date(Date.now() - 2 * 3_600_000));
    expect((await owner("prune", "--dry-run")).output).toContain("Would remove 1 blob of 30 kB.");
    const { code, output } = await owner("prune");
    expect([code, output]).toEqual([0, expect.stringContaining("Removed 1 blob of 30 kB.")]);
    await expect(stat(file)).rejects.toMatchObject({ code: "ENOENT" });
    expect(await stored()).toHaveLength(8);
  });
});

test("what the variable PIN keeps is listed as that, and undone only there", async () => {
  expect((await owner("pin", "--list")).output).toMatch(/^quay\.io\/kept\/\* +in PIN$/m);
  const { code, errors } = await owner("pin", "quay.io/kept/*", "--undo");
  expect([code, errors]).toEqual([2, expect.stringContaining("is in the variable PIN: remove it there")]);
});

describe("status", () => {
  test("says how the mirror is and how much it holds", async () => {
    await pullBoth();
    const { code, output } = await owner("status");
    expect(code).toBe(0);
    expect(output).toMatch(/access +open\n +stored +32\d(\.\d)? kB, 0% of 9\.5 GB: 2 manifests, 5 blobs/);
    expect(output).toMatch(/first +registry\.test\/owner\/(one:1|two:2)\.0 leaves first: [57]\d(\.\d)? kB/);
    expect(output).toContain(`${mirror.upstream}/  up`);
    expect((await owner("status", "--json")).json()).toMatchObject({
      stored: {
        images: 2,
        manifests: 2,
        blobs: 5,
        pinned: 0,
        evicted: 0,
        full: null,
        growth: expect.any(Number),
      },
    });
  });

  test("exits with 1 while an endpoint is down", async () => {
    fake.fail({}, { status: 503 });
    try {
      for (let round = 0; round < 4; round++) {
        await mirror.pull(`owner/one/tags/list`);
      }
      await expect.poll(async () => (await owner("status")).code).toBe(1);
      expect((await owner("status")).output).toContain("down, requested again in");
    } finally {
      fake.clearFaults();
    }
  });
});

describe("the admin key", () => {
  test("is kept in the data folder, for its owner only", async () => {
    expect((await stat(join(mirror.data, "admin-key"))).mode & 0o777).toBe(0o600);
  });

  test("can be given by a file or the environment", async () => {
    const elsewhere = ["--mirror", mirror.url, "--data", join(mirror.data, "none")];
    const missing = await portolan(["status", ...elsewhere]);
    expect([missing.code, missing.errors]).toEqual([
      2,
      expect.stringContaining("--admin-key-file or PORTOLAN_ADMIN_KEY"),
    ]);
    expect(
      (await portolan(["status", ...elsewhere, "--admin-key-file", join(mirror.data, "admin-key")])).code,
    ).toBe(0);
    const wrong = await portolan(["status", ...elsewhere], {
      environment: { PORTOLAN_ADMIN_KEY: "w".repeat(40) },
    });
    expect([wrong.code, wrong.errors]).toEqual([2, expect.stringContaining("doesn't accept the admin key")]);
  });

  test("isn't sent to another machine because it is kept here", async () => {
    const { code, errors } = await portolan([
      "status",
      "--mirror",
      "https://mirror.example",
      "--data",
      mirror.data,
    ]);
    expect([code, errors]).toEqual([
      2,
      expect.stringContaining("the admin key of https://mirror.example isn't known"),
    ]);
  });

  test("at something else than a Portolan is reported as that", async () => {
    await writeFile(join(mirror.data, "key"), "k".repeat(40));
    const { code, errors } = await portolan([
      "status",
      "--mirror",
      mirror.upstream,
      "--admin-key-file",
      join(mirror.data, "key"),
    ]);
    expect([code, errors]).toEqual([2, expect.stringContaining("is it a Portolan")]);
  });
});
