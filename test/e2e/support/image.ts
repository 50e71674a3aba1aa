// Builds the image that every client pulls: real gzip layers of over 100 MB, two platforms, the same digests on
// every run. The amd64 image runs, and when run it checks the SHA-256 of each of its files by itself.
import { createCipheriv, createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { gzip as gzipCallback } from "node:zlib";
import { type TarEntry, tar } from "./tar.ts";

const gzip = promisify(gzipCallback);

/** The image is built with both families of media types: the content is the same, and only the manifests differ. */
const OCI = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar+gzip",
} as const;
const DOCKER = {
  index: "application/vnd.docker.distribution.manifest.list.v2+json",
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
} as const;

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

export interface Platform {
  manifest: Descriptor;
  config: Descriptor;
  layers: Descriptor[];
}

export interface Manifests {
  index: Descriptor;
  amd64: Platform;
  arm64: Platform;
}

/** What tests compare with; plain data, so that vitest can hand it to the test files. */
export interface ImageFacts extends Manifests {
  /** The same image as Docker's own media types name it. */
  docker: Manifests;
  /** What a container of the amd64 image prints once every file in it has the SHA-256 it was built with. */
  verdict: string;
}

export interface Image {
  facts: ImageFacts;
  /** Every manifest, config and layer by its digest. */
  content: Map<string, Buffer>;
}

type MediaTypes = Record<keyof typeof OCI, string>;

interface Layer {
  descriptor: Descriptor;
  diffId: string;
  comment: string;
}

const MIB = 1024 * 1024;
const CREATED = "2020-01-01T00:00:00Z";
const CHECK_LIST = "files.sha256";
const DELETED = "srv/deleted.txt";

/** The shell script that is the image's entry point. `-s` keeps it quiet about files that are right. */
const VERIFY = `#!/bin/busybox sh
cd / || exit 1
/bin/busybox sha256sum -c -s ${CHECK_LIST} || { echo "a file differs"; exit 1; }
[ ! -e ${DELETED} ] || { echo "${DELETED} should be gone"; exit 1; }
set -- $(/bin/busybox sha256sum ${CHECK_LIST})
echo "verified $(/bin/busybox wc -l < ${CHECK_LIST}) files, list sha256:$1"
`;

export async function buildImage(): Promise<Image> {
  const content = new Map<string, Buffer>();
  const keep = (bytes: Buffer, mediaType: string): Descriptor => {
    const digest = sha256(bytes);
    content.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layer = async (comment: string, entries: TarEntry[]): Promise<Layer> => {
    const archive = tar(entries);
    // Level 1: most of the content is noise, on which more effort only costs time.
    const descriptor = keep(await gzip(archive, { level: 1 }), OCI.layer);
    return { descriptor, diffId: sha256(archive), comment };
  };
  const platform = (types: MediaTypes, configuration: Buffer, given: Layer[]): Platform => {
    const config = keep(configuration, types.config);
    const layers = given.map(({ descriptor }) => ({ ...descriptor, mediaType: types.layer }));
    const manifest = { schemaVersion: 2, mediaType: types.manifest, config, layers };
    return { manifest: keep(json(manifest), types.manifest), config, layers };
  };

  const base = await baseEntries();
  const text = [directory("usr"), directory("usr/share"), file("usr/share/records.jsonl", records(24 * MIB))];
  const noise = (name: string, mebibytes: number): TarEntry[] => [
    directory("srv"),
    file(`srv/${name}-1`, pseudoRandom(`${name}-1`, mebibytes * MIB - 4097)),
    // Odd sizes, so that nothing rests on lengths that are a multiple of some block.
    file(`srv/${name}-2`, pseudoRandom(`${name}-2`, 4097)),
  ];
  const small = noise("small", 24);
  const medium = noise("medium", 34);
  const large = noise("large", 44);
  const checkList = checkListOf([...base, ...text, ...small, ...medium, ...large]);
  const last: TarEntry[] = [
    file(CHECK_LIST, checkList),
    file("verify.sh", Buffer.from(VERIFY), 0o755),
    // The mark of a deleted file (image-spec, layer.md "Whiteouts"): a client that lost the order of the layers shows it.
    directory("srv"),
    file("srv/.wh.deleted.txt", Buffer.alloc(0)),
  ];

  const shared = [await layer("text", text), await layer("24 MiB of noise", small)];
  const layers = {
    amd64: [
      await layer("busybox", base),
      ...shared,
      await layer("34 MiB of noise", medium),
      await layer("44 MiB of noise", large),
      await layer("the check", last),
    ],
    // No static arm64 program is at hand on an amd64 Debian: this platform is there to be chosen against.
    arm64: [await layer("marker", [file("platform", Buffer.from("arm64\n"))]), ...shared],
  };
  const configs = {
    amd64: imageConfig("amd64", layers.amd64, ["/bin/busybox", "sh", "/verify.sh"]),
    arm64: imageConfig("arm64", layers.arm64, ["/nothing-to-run"]),
  };
  const manifests = (types: MediaTypes): Manifests => {
    const amd64 = platform(types, configs.amd64, layers.amd64);
    const arm64 = platform(types, configs.arm64, layers.arm64);
    const index = {
      schemaVersion: 2,
      mediaType: types.index,
      manifests: [
        { ...arm64.manifest, platform: { architecture: "arm64", os: "linux" } },
        { ...amd64.manifest, platform: { architecture: "amd64", os: "linux" } },
      ],
    };
    return { index: keep(json(index), types.index), amd64, arm64 };
  };
  const lines = checkList.toString().trimEnd().split("\n").length;
  const verdict = `verified ${lines} files, list ${sha256(checkList)}`;
  return { facts: { ...manifests(OCI), docker: manifests(DOCKER), verdict }, content };
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function baseEntries(): Promise<TarEntry[]> {
  return [
    directory("bin"),
    file("bin/busybox", await staticBusybox(), 0o755),
    { type: "hardlink", path: "bin/sha256sum", target: "bin/busybox" },
    { type: "symlink", path: "bin/sh", target: "busybox" },
    directory("etc"),
    file("etc/passwd", Buffer.from("root:x:0:0:root:/:/bin/sh\nreader:x:1000:1000::/:/bin/sh\n")),
    file("etc/group", Buffer.from("root:x:0:\nreader:x:1000:\n")),
    directory("srv"),
    {
      type: "file",
      path: "srv/owned",
      content: Buffer.from("by reader\n"),
      mode: 0o640,
      uid: 1000,
      gid: 1000,
    },
    file(DELETED, Buffer.from("removed by the last layer\n")),
    { type: "directory", path: "tmp", mode: 0o1777 },
  ];
}

/** Debian's busybox-static. A dynamic one would start in no container of this image, so it is refused here. */
async function staticBusybox(): Promise<Buffer> {
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    const program = await readFile(join(folder, "busybox")).catch(() => null);
    if (program === null) continue;
    if (program.subarray(0, 4096).includes("/ld-linux")) {
      throw new Error(`${folder}/busybox is linked dynamically: install the package busybox-static`);
    }
    return program;
  }
  throw new Error("busybox not found: install the package busybox-static");
}

function imageConfig(architecture: string, layers: Layer[], command: string[]): Buffer {
  return json({
    created: CREATED,
    architecture,
    os: "linux",
    config: { Entrypoint: command, Env: ["PATH=/bin"], WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((layer) => ({ created: CREATED, created_by: layer.comment })),
  });
}

/** Lines as `sha256sum -c` reads them, for every file that is still there in the finished image. */
function checkListOf(entries: TarEntry[]): Buffer {
  const lines = entries.flatMap((entry) =>
    entry.type === "file" && entry.path !== DELETED
      ? [`${sha256(entry.content).slice("sha256:".length)}  ${entry.path}\n`]
      : [],
  );
  return Buffer.from(lines.join(""));
}

/** AES in counter mode over zeros: noise that no compressor shrinks, decided by its seed alone. */
function pseudoRandom(seed: string, length: number): Buffer {
  const key = createHash("sha256").update(seed).digest();
  return createCipheriv("aes-256-ctr", key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** Text that shrinks to a fraction, as most of a real layer does. */
function records(length: number): Buffer {
  const chosen = pseudoRandom("records", 4096);
  const lines: string[] = [];
  for (let size = 0, n = 0; size < length; n += 1) {
    const line = `{"record":${n},"port":"harbour-${chosen[n % 4096] ?? 0}","depth":${(n * 7919) % 1000}}\n`;
    lines.push(line);
    size += line.length;
  }
  return Buffer.from(lines.join(""));
}

function directory(path: string): TarEntry {
  return { type: "directory", path };
}

function file(path: string, content: Uint8Array, mode = 0o644): TarEntry {
  return { type: "file", path, content, mode };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}
