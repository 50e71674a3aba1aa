/** What a registry or a mirror says reaches neither a terminal nor what reads JSON with anything in it that a terminal would obey. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { gzip, tarLayer, utf8 } from "../../support/fake-registry.ts";
import { type Harbour, harbours, IMAGE, REPOSITORY } from "../support/fleet.ts";
import { portolan, UNREACHABLE } from "../support/portolan.ts";

/** Colours, a cleared screen, a title, a line's start, the sequences' form with one byte, and what turns the direction of text. */
const EVIL = "x\x1b[32m✓ same\x1b[2J\x1b]0;owned\x07\r\x9b31m\u202eevil";
const TYPE = "application/vnd.oci.image";
const UNFIT = /[^\P{C}\n]|[\u2028\u2029]/u;

let mirror: Harbour;
let publisher: Harbour;
let close: () => Promise<void>;

beforeEach(async () => {
  const fleet = await harbours(2);
  close = fleet.close;
  [publisher, mirror] = fleet.all as [Harbour, Harbour];
  for (const [harbour, build] of [
    [publisher, "one"],
    [mirror, "two"],
  ] as const)
    await push(harbour, build);
});
afterEach(() => close());

/** An image of which everything that is free text is hostile; another one by each build. */
async function push({ registry }: Harbour, build: string): Promise<void> {
  const layer = await registry.addBlob(await gzip(tarLayer({ [build]: build })), { repository: REPOSITORY });
  const facts = { os: EVIL, architecture: EVIL, created: EVIL, history: [{ created_by: EVIL }] };
  const config = await registry.addBlob(utf8(JSON.stringify(facts)), { repository: REPOSITORY });
  const manifest = {
    schemaVersion: 2,
    mediaType: `${TYPE}.manifest.v1+json`,
    artifactType: EVIL,
    config: { mediaType: `${TYPE}.config.v1+json`, ...config },
    layers: [{ mediaType: `${TYPE}.layer.v1.tar+gzip`, annotations: { [EVIL]: EVIL }, ...layer }],
  };
  const { digest, size, mediaType } = await registry.addManifest(REPOSITORY, manifest);
  const common = { mediaType, digest, size };
  const subject = { ...manifest, subject: common, annotations: { [EVIL]: EVIL } };
  await registry.addManifest(REPOSITORY, subject);
  const platforms = [
    { os: "linux", architecture: "amd64" },
    { os: EVIL, architecture: EVIL, variant: EVIL },
  ];
  const manifests = platforms.map((platform) => ({ ...common, platform, annotations: { [EVIL]: EVIL } }));
  const index = { schemaVersion: 2, mediaType: `${TYPE}.index.v1+json`, manifests };
  await registry.addManifest(REPOSITORY, index, { tag: "1.0" });
}

const COMMANDS: [string, ...string[]][] = [
  ["verify", IMAGE, "--deep"],
  ["inspect", IMAGE, "--platform", "linux/amd64"],
  ["inspect", IMAGE, "--platform", "linux/riscv64"],
  ["inspect", IMAGE, "--all", "--platform", "linux/amd64"],
  ["warm", IMAGE],
  ["warm", IMAGE, "--platform", "linux/riscv64"],
  ["mirrors", "--only-given", "--image", IMAGE, "--platform", "linux/amd64"],
  ["doctor", "--image", IMAGE],
];

async function run([name, ...more]: readonly string[], ...json: string[]) {
  const against = ["verify", "mirrors"].includes(name ?? "") ? ["--against", publisher.url] : [];
  const environment = { DOCKER_HOST: "unix:///nonexistent/docker.sock", HTTPS_PROXY: UNREACHABLE };
  return portolan([name ?? "", ...more, ...against, "--mirror", mirror.url, ...json], { environment });
}

const REFUSAL = {
  status: 403,
  headers: { "content-type": "application/json", warning: "\x9b31m" },
  body: JSON.stringify({ errors: [{ code: EVIL, message: `configuration ${EVIL}` }] }),
};

describe.each([
  ["hostile names", () => {}],
  ["hostile refusals of manifests", () => mirror.registry.fail({ kind: "manifest" }, REFUSAL)],
  ["hostile refusals of blobs", () => mirror.registry.fail({ kind: "blob" }, REFUSAL)],
  ["a hostile response to the ping", () => mirror.registry.fail({ kind: "ping" }, REFUSAL)],
  ["what is no JSON", () => mirror.registry.fail({ kind: "manifest" }, { status: 200, body: EVIL })],
  ["a refusing publisher", () => publisher.registry.fail({ kind: "manifest" }, REFUSAL)],
])("%s", (_, prepare) => {
  test.each(COMMANDS)("%s %s %s %s", async (...args) => {
    prepare();
    const [text, json] = await Promise.all([run(args), run(args, "--json")]);
    expect(text.output + text.errors).not.toMatch(UNFIT);
    expect(text.output + text.errors).not.toBe("");
    expect(json.output + json.errors).not.toMatch(UNFIT);
    json.json();
  });
});

test.each([["text"], ["--json"]])("copies of what is hostile: %s", async (form) => {
  const source = `${new URL(publisher.url).host}/${REPOSITORY}:1.0`;
  const target = `${new URL(mirror.url).host}/${REPOSITORY}:copy`;
  const folder = await mkdtemp(join(tmpdir(), "portolan-hostile-"));
  await writeFile(join(folder, "list.txt"), `${source} ${target}\n`);
  const json = form === "--json" ? ["--json"] : [];
  const commands = [
    ["copy", source, target, "--platform", "linux/riscv64"],
    ["sync", join(folder, "list.txt"), "--platform", "linux/riscv64"],
  ];
  for (const command of commands) {
    const { code, output, errors } = await portolan([...command, ...json]);
    expect(output + errors).toContain("linux/riscv64");
    expect(output + errors).not.toMatch(UNFIT);
    expect(code).not.toBe(0);
  }
  await rm(folder, { recursive: true });
});
