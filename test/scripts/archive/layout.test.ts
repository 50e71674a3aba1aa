/** OCI image layouts, in folders and tars, as sources and targets of `copy`. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  behaviours,
  createFakeRegistry,
  type FakeRegistry,
  type Image,
  patternBytes,
  utf8,
} from "../../support/fake-registry.ts";
import { type ListeningRegistry, listen } from "../../support/node/listen.ts";
import { blobsIn, indexOf } from "../support/layout.ts";
import { type Finished, portolan } from "../support/portolan.ts";
import { type PushRegistry, startPushRegistry } from "../support/push-registry.ts";

const REF_NAME = "org.opencontainers.image.ref.name";

let folder: string;
let layout: string;
let fake: FakeRegistry;
let served: ListeningRegistry;
let target: PushRegistry;
let image: Image;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "layout-"));
  layout = join(folder, "layout");
  fake = createFakeRegistry({ auth: "none" });
  served = await listen(fake);
  target = await startPushRegistry();
  image = await fake.addImage("owner/image", "1.0", { platforms: ["linux/amd64", "linux/arm64"] });
});
afterEach(async () => {
  await Promise.all([served.close(), target.close()]);
  await rm(folder, { recursive: true, force: true });
});

function copy(from: string, to: string, ...more: string[]): Promise<Finished> {
  return portolan(["copy", from, to, ...more], { cwd: folder, environment: { TMPDIR: folder } });
}

const published = (tag = "1.0") => `${served.host}/owner/image:${tag}`;
const digestsOf = ({ target, manifests, configs, layers }: Image) =>
  [...new Set([target, ...manifests, ...configs, ...layers].map(({ digest }) => digest))].sort();

describe("a layout", () => {
  test.each([
    ["folder", "oci:layout"],
    ["tar", "oci-archive:layout.tar"],
  ])("in a %s has the image byte for byte, and gives it back", async (_, location) => {
    const copied = await copy(published(), location, "--all-platforms");
    expect(copied.errors).not.toContain("✗");
    expect(copied.code).toBe(0);
    const back = await copy(`${location}:1.0`, `${target.host}/back/image`, "--all-platforms", "--json");
    expect(back.json()).toMatchObject({ state: "copied", digest: image.target.digest });
    expect(target.manifests.get("back/image 1.0")?.bytes.equals(Buffer.from(image.target.bytes))).toBe(true);
    expect([...target.blobs.keys()].sort()).toEqual(
      [...image.configs, ...image.layers].map(({ digest }) => digest).sort(),
    );
  });

  test("is what the specification says, and has nothing else", async () => {
    await copy(published(), "oci:layout", "--all-platforms");
    expect((await readdir(layout)).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
    expect(await readFile(join(layout, "oci-layout"), "utf8")).toBe('{"imageLayoutVersion":"1.0.0"}');
    expect(await indexOf(layout)).toEqual([
      {
        mediaType: image.target.mediaType,
        digest: image.target.digest,
        size: image.target.size,
        annotations: { [REF_NAME]: "1.0" },
      },
    ]);
    expect(await blobsIn(layout)).toEqual(digestsOf(image));
    expect(await readdir(folder)).toEqual(["layout"]);
  });

  test("gets further images, and another one under a name that it has", async () => {
    const other = await fake.addImage("owner/image", "2.0");
    await copy(published(), "oci:layout", "--all-platforms");
    await copy(published("2.0"), "oci:layout");
    await copy(published("2.0"), "oci:layout:1.0");
    const entries = await indexOf(layout);
    expect(entries.map(({ digest, annotations }) => [annotations?.[REF_NAME], digest])).toEqual([
      ["2.0", other.target.digest],
      ["1.0", other.target.digest],
    ]);
    expect((await readdir(layout)).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
  });

  test("keeps the blobs that it has, and has a broken one replaced", async () => {
    await copy(published(), "oci:layout", "--all-platforms");
    const broken = image.layers[0]?.digest ?? "";
    const size = image.layers[0]?.size ?? 0;
    await writeFile(join(layout, "blobs", broken.replace(":", "/")), Buffer.alloc(size));
    fake.reset();
    const { json } = await copy(published(), "oci:layout", "--all-platforms", "--json");
    expect(json()).toMatchObject({ sent: 1, present: image.configs.length + image.layers.length - 1 });
    expect(fake.requests.filter(({ kind }) => kind === "blob").map(({ path }) => path)).toEqual([
      expect.stringContaining(broken),
    ]);
    expect(await blobsIn(layout)).toEqual(digestsOf(image));
  });

  test("has what refers to an image, and gives it on", async () => {
    const sbom = await fake.addManifest("owner/image", {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/spdx+json",
      config: {
        mediaType: "application/vnd.oci.empty.v1+json",
        ...(await fake.addBlob(utf8("{}"), { repository: "owner/image" })),
      },
      layers: [],
      subject: { mediaType: image.target.mediaType, digest: image.target.digest, size: image.target.size },
    });
    await copy(published(), "oci:layout", "--all-platforms", "--referrers");
    const { json } = await copy(
      ...([
        "oci:layout",
        `${target.host}/back/image:1.0`,
        "--all-platforms",
        "--referrers",
        "--json",
      ] as const),
    );
    expect(json()).toMatchObject({ digest: image.target.digest, referrers: 1 });
    expect(target.manifests.has(`back/image ${sbom.digest}`)).toBe(true);
  });
});

describe("a target that can't be completed", () => {
  const large = patternBytes(3_000_000, 7);

  beforeEach(async () => {
    image = await fake.addImage("owner/image", "large", { layers: [large] });
    fake.fail({ kind: "blob", path: new RegExp(image.layers[0]?.digest ?? "") }, behaviours.corrupted());
  });

  test.each(["oci:new", "oci-archive:new.tar", "docker-archive:new.tar"])(
    "isn't there: %s",
    async (location) => {
      const { code, errors } = await copy(published("large"), location);
      expect(errors).toContain("sent something wrong");
      expect(code).toBe(1);
      expect(await readdir(folder)).toEqual([]);
    },
  );

  test("is what it was before: a layout", async () => {
    await copy(published(), "oci:layout");
    const before = await readFile(join(layout, "index.json"), "utf8");
    const blobs = await blobsIn(layout);
    expect((await copy(published("large"), "oci:layout")).code).toBe(1);
    expect(await readFile(join(layout, "index.json"), "utf8")).toBe(before);
    expect(await blobsIn(layout)).toEqual(blobs);
    expect((await readdir(layout)).sort()).toEqual(["blobs", "index.json", "oci-layout"]);
  });

  test("is what it was before: an archive", async () => {
    await writeFile(join(folder, "new.tar"), "before");
    expect((await copy(published("large"), "oci-archive:new.tar")).code).toBe(1);
    expect(await readFile(join(folder, "new.tar"), "utf8")).toBe("before");
    expect(await readdir(folder)).toEqual(["new.tar"]);
  });

  test("because its device is full is reported", async () => {
    fake.clearFaults();
    const { code, errors } = await copy(published("large"), "oci-archive:/dev/full");
    expect(errors).toMatch(/ENOSPC|no space left/);
    expect(code).toBe(1);
  });

  test("is refused if it is another folder", async () => {
    await mkdir(join(folder, "other"));
    await writeFile(join(folder, "other", "file"), "mine");
    const { errors } = await copy(published(), "oci:other");
    expect(errors).toContain("other is neither empty nor an OCI layout");
    expect(await readdir(join(folder, "other"))).toEqual(["file"]);
  });
});

describe("a source that is broken is reported by its file and entry:", () => {
  beforeEach(async () => {
    await copy(published(), "oci:layout", "--all-platforms");
  });

  const entry = (digest = "") => join(layout, "blobs", digest.replace(":", "/"));
  const back = () => copy("oci:layout:1.0", `${target.host}/back/image`, "--all-platforms");

  test("a layer with other content, which isn't given on", async () => {
    const [layer] = image.layers;
    await writeFile(entry(layer?.digest), Buffer.alloc(layer?.size ?? 0));
    const { code, errors } = await back();
    expect(errors).toMatch(
      new RegExp(`${layout}: blobs/sha256/\\w+ is sha256:\\w+, though it should be ${layer?.digest}`),
    );
    expect(code).toBe(1);
    expect(target.blobs.has(layer?.digest ?? "")).toBe(false);
    expect([...target.manifests.keys()]).not.toContain("back/image 1.0");
  });

  test("a layer of another size", async () => {
    await writeFile(entry(image.layers[0]?.digest), "short");
    expect((await back()).errors).toMatch(/blobs\/sha256\/\w+ has 5 bytes, though it should have \d+/);
  });

  test("a manifest with other content", async () => {
    await writeFile(entry(image.manifests[0]?.digest), "{}");
    expect((await back()).errors).toMatch(/layout: blobs\/sha256\/\w+ is sha256:\w+, though it should be/);
  });

  test("a manifest that is missing", async () => {
    await rm(entry(image.manifests[0]?.digest));
    expect((await back()).errors).toMatch(/layout: blobs\/sha256\/\w+ is missing/);
  });

  test("an index that is none", async () => {
    await writeFile(join(layout, "index.json"), "[]");
    expect((await back()).errors).toContain(`${layout}: index.json is no index`);
  });

  test("an index that is too large to be one", async () => {
    await writeFile(join(layout, "index.json"), Buffer.alloc(9_000_000, " "));
    expect((await back()).errors).toContain("index.json has 9000000 bytes, too many for a document");
  });

  test("no layout", async () => {
    await rm(join(layout, "index.json"));
    expect((await back()).errors).toContain(`${layout} is no OCI layout: it has no index.json`);
  });

  test("a name that it doesn't have, or several without one", async () => {
    await copy(published(), "oci:layout:other", "--platform", "linux/arm64");
    const to = `${target.host}/back/image`;
    expect((await copy("oci:layout:none", to)).errors).toContain(`${layout} has no none; it has 1.0, other`);
    expect((await copy("oci:layout", to)).errors).toContain(
      `${layout} has 2 images; name one of them: 1.0, other`,
    );
  });
});
