/** Docker's archives as a source of `copy`. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tar } from "../../e2e/support/tar.ts";
import { type DockerArchive, digestOf, dockerArchive, layerOf } from "../support/docker-archive.ts";
import { blobAt, blobsIn, indexOf, type LayoutManifest, manifestAt } from "../support/layout.ts";
import { type Finished, portolan } from "../support/portolan.ts";

const OCI = "application/vnd.oci.image";
const layers = [layerOf("one"), layerOf("two")];

let folder: string;
let archive: DockerArchive;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "docker-source-"));
  archive = dockerArchive(["boat:1.0", "harbour.example.com/boat:2"], layers);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Copies the archive's image. */
async function copied(name = "", to = "oci:layout:copied", bytes = archive.bytes()): Promise<Finished> {
  await writeFile(join(folder, "image.tar"), bytes);
  return portolan(["copy", `docker-archive:image.tar${name}`, to], {
    cwd: folder,
    environment: { TMPDIR: folder },
  });
}

/** The manifest that the copy in the layout has, all of whose blobs are there. */
async function manifest(): Promise<LayoutManifest> {
  const layout = join(folder, "layout");
  const [{ digest = "" } = {}] = await indexOf(layout);
  const found = await manifestAt(layout, digest);
  const all = [digest, found.config.digest, ...found.layers.map((each) => each.digest)];
  expect(await blobsIn(layout)).toEqual([...new Set(all)].sort());
  return found;
}

describe("an image", () => {
  test("keeps its ID, and gets layers that are compressed and unpack to what they were", async () => {
    expect(await copied()).toMatchObject({ code: 0 });
    const { mediaType, config, layers: written } = await manifest();
    expect(mediaType).toBe(`${OCI}.manifest.v1+json`);
    expect(config).toMatchObject({ mediaType: `${OCI}.config.v1+json`, digest: archive.id });
    expect(written.map((each) => each.mediaType)).toEqual(layers.map(() => `${OCI}.layer.v1.tar+gzip`));
    const unpacked = await Promise.all(
      written.map(async ({ digest }) => gunzipSync(await blobAt(join(folder, "layout"), digest))),
    );
    expect(unpacked.map(digestOf)).toEqual(layers.map(digestOf));
    expect((await readdir(folder)).sort()).toEqual(["image.tar", "layout"]);
  });

  test("keeps its layers as they are on the way to another Docker archive", async () => {
    expect(await copied("", "docker-archive:copied.tar")).toMatchObject({ code: 0 });
    await portolan(["copy", "oci-archive:copied.tar", "oci:layout"], { cwd: folder });
    const { layers: written } = await manifest();
    expect(written.map((each) => each.digest)).toEqual(layers.map(digestOf));
    expect(written[0]?.mediaType).toBe(`${OCI}.layer.v1.tar`);
  });

  test.each([
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ])("whose layers are compressed with %s keeps them", async (name, compress) => {
    const packed = layers.map((layer) => compress(layer));
    archive = dockerArchive(["boat:1.0"], packed, layers.map(digestOf));
    expect(await copied()).toMatchObject({ code: 0 });
    const { layers: written } = await manifest();
    expect(written.map((each) => each.digest)).toEqual(packed.map(digestOf));
    expect(written[0]?.mediaType).toBe(`${OCI}.layer.v1.tar+${name}`);
  });

  test("may have the same layer twice, once as a link", async () => {
    archive = dockerArchive(["boat:1.0"], [layers[0] as Buffer, layers[0] as Buffer]);
    archive.entries.set("layer-1/layer.tar", {
      type: "symlink",
      path: "layer-1/layer.tar",
      target: "../layer-0/layer.tar",
    });
    expect(await copied()).toMatchObject({ code: 0 });
    const { layers: written } = await manifest();
    expect(written).toHaveLength(2);
    expect(written[0]).toEqual(written[1]);
  });

  test("of an archive that is compressed as a whole is read", async () => {
    expect(await copied("", "oci:layout", gzipSync(archive.bytes()))).toMatchObject({ code: 0 });
    expect((await manifest()).config.digest).toBe(archive.id);
  });

  test.each([":boat:1.0", ":docker.io/library/boat:1.0", ":harbour.example.com/boat:2"])(
    "is found by its name %s",
    async (name) => {
      expect(await copied(name)).toMatchObject({ code: 0 });
    },
  );

  test("that the archive doesn't have isn't copied, and those that it has are named", async () => {
    const { code, errors } = await copied(":boat:3");
    expect(errors).toContain(
      `${join(folder, "image.tar")} has no docker.io/library/boat:3; it has boat:1.0, harbour.example.com/boat:2`,
    );
    expect(code).toBe(1);
  });
});

describe("what is broken is reported by its file and entry, and nothing is left: ", () => {
  const [first] = layers;
  const file = (path: string, content: Buffer) => ({ type: "file", path, content }) as const;
  const config = () => [...archive.entries.keys()].find((path) => /^[0-9a-f]{64}\.json$/.test(path)) ?? "";

  test.each<[string, () => void, RegExp]>([
    [
      "a layer with other content",
      () => archive.entries.set("layer-1/layer.tar", file("layer-1/layer.tar", layerOf("three"))),
      /image\.tar: layer-1\/layer\.tar is sha256:\w+, though the config says sha256:/,
    ],
    [
      "a layer that is missing",
      () => archive.entries.delete("layer-0/layer.tar"),
      /image\.tar: layer-0\/layer\.tar is missing/,
    ],
    [
      "a compressed layer that breaks off",
      () =>
        archive.entries.set(
          "layer-1/layer.tar",
          file("layer-1/layer.tar", gzipSync(layers[1] as Buffer).subarray(0, -20)),
        ),
      /image\.tar: layer-1\/layer\.tar unexpected end of file/,
    ],
    [
      "a config with other content",
      () => archive.entries.set(config(), file(config(), Buffer.from("{}"))),
      /image\.tar: [0-9a-f]{64}\.json is sha256:\w+, though its name says otherwise/,
    ],
    ["no config", () => archive.entries.delete(config()), /image\.tar: [0-9a-f]{64}\.json is missing/],
    [
      "no manifest.json",
      () => archive.entries.delete("manifest.json"),
      /image\.tar is no OCI layout: it has no index\.json/,
    ],
    [
      "a manifest.json that is none",
      () => archive.entries.set("manifest.json", file("manifest.json", Buffer.from("[{}]"))),
      /image\.tar: manifest\.json isn't what docker save writes/,
    ],
    [
      "a manifest.json with other layers than the config",
      () => {
        const text = JSON.stringify([{ Config: config(), RepoTags: [], Layers: ["layer-0/layer.tar"] }]);
        archive.entries.set("manifest.json", file("manifest.json", Buffer.from(text)));
      },
      /\.json names 2 layers, and manifest\.json 1/,
    ],
    [
      "a path out of the archive",
      () => {
        const text = JSON.stringify([{ Config: "../../../etc/passwd", RepoTags: [], Layers: [] }]);
        archive.entries.set("manifest.json", file("manifest.json", Buffer.from(text)));
      },
      /image\.tar: \.\.\/\.\.\/\.\.\/etc\/passwd is missing/,
    ],
  ])("%s", async (_, change, why) => {
    change();
    const { code, errors } = await copied();
    expect(errors).toMatch(why);
    expect(code).toBe(1);
    expect(await readdir(folder)).toEqual(["image.tar"]);
  });

  test("nothing at all", async () => {
    const { errors } = await copied("", "oci:layout", tar([file("other", first as Buffer)]));
    expect(errors).toMatch(/image\.tar is no OCI layout/);
  });
});
