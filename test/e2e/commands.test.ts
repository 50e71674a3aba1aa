// The commands that look at mirrors, as a user runs them, against the real mirror and docker-registry as publisher and mirrors.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { generateKey, hashKey } from "../../src/access/keys.ts";
import { type Finished, spawnPortolan, UNREACHABLE } from "../scripts/support/portolan.ts";
import { startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { makeCertificate } from "./support/origin.ts";
import { workspace } from "./support/process.ts";
import type { Registry } from "./support/registry.ts";
import { startTampered } from "./support/tampered.ts";
import { startUpstream } from "./support/upstream.ts";

const image = inject("image");
const repository = REPOSITORIES["docker.io"];
const reference = `docker.io/${repository}:${TAG}`;
/** No Docker, unless a test sets one. */
const NO_DOCKER = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };

let stage: Stage;

beforeAll(async () => {
  stage = await startStage(inject("registry"));
});
afterAll(() => stage?.stop());

/** `npm run portolan -- …` with the mirror of the stage where the command needs one. */
function user(args: readonly string[], environment: Record<string, string> = {}): Promise<Finished> {
  const given = { PORTOLAN_MIRROR: stage.url, ...NO_DOCKER, ...environment };
  return spawnPortolan(args, { byNpm: true, deadline: 60_000, environment: given });
}

const short = (digest: string) => digest.slice(0, 19);
const against = ["--against", inject("registry")];

describe("an image that has never been requested from the mirror", () => {
  test("inspect shows the way to it, and that nothing is stored", async () => {
    const { code, output } = await user(["inspect", reference, "--platform", "linux/amd64"]);
    expect(code).toBe(0);
    const { manifest, config, layers } = image.amd64;
    for (const { digest } of [image.index, manifest, config, ...layers]) {
      expect(output).toMatch(new RegExp(`${short(digest)} .* not stored`));
    }
    expect(output).toContain(`image id ${config.digest.slice(7, 19)}`);
    expect(output).toContain("34 MiB of noise");
    expect(output).toMatch(/\d+(\.\d)? MB for linux\/amd64, .* still to be fetched from the registry/);
  });

  // Inspecting has read the config.
  test("warm fetches the named platform, and stores it", async () => {
    const { code, output } = await user(["warm", reference, "--platform", "linux/amd64"]);
    expect(output).toMatch(
      /✓ .*, 1 manifest: 6 blobs of \d+(\.\d)? MB fetched, 1 blob of 1 kB stored before/,
    );
    expect(code).toBe(0);
    const { output: way } = await user(["inspect", reference, "--platform", "linux/amd64"]);
    expect(way).toContain("all of it stored in the mirror");
  });

  test("warm fetches the rest, and reports what was stored before", async () => {
    const { code, output } = await user(["warm", reference]);
    expect(output).toMatch(/2 manifests: 2 blobs of .* fetched, 7 blobs of .* stored before/);
    expect(code).toBe(0);
  });

  test("verify finds every object to be the publisher's, by its bytes", async () => {
    const { code, output } = await user(["verify", reference, ...against, "--deep"]);
    expect(output).toMatch(/linux\/arm64 .* same\n/);
    expect(output).toContain("gives the image as the publisher pushed it (every layer hashed)");
    expect(code).toBe(0);
  });
});

describe("three mirrors that are wrong in one way each", () => {
  const wrong: Registry[] = [];

  beforeAll(async () => {
    const storage = inject("storage");
    // The largest one that both platforms have.
    const layer = image.arm64.layers[2]?.digest ?? "";
    const docker = image.docker.index.digest;
    wrong.push(
      await startTampered(storage, (each) => each.moveTag(repository, TAG, docker)),
      await startTampered(storage, (each) => each.corruptBlob(layer)),
      await startTampered(storage, (each) => each.removeManifest(repository, image.arm64.manifest.digest)),
    );
  });
  afterAll(() => Promise.all(wrong.map((each) => each.stop())));

  test("verify finds the old tag, the swapped layer and the missing platform, and the right one right", async () => {
    const mirrors = [stage.url, ...wrong.map(({ url }) => url)].flatMap((url) => ["--mirror", url]);
    const { code, output } = await user(["verify", reference, ...against, ...mirrors, "--deep"]);
    const rows = output.split("\n").map((line) => line.trim());
    const row = (name: string) =>
      rows.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length));
    expect(row("index")[0]).toMatch(/B +same +stale, made at the same time +same +same$/);
    expect(row("linux/amd64")[0]).toMatch(/B +same +stale, made at the same time +different +same$/);
    expect(row("linux/arm64")[0]).toMatch(/B +same +stale, made at the same time +different +missing$/);
    expect(row("layer 3")).toHaveLength(2);
    expect(row("layer 3")[0]).toMatch(/MB +same +same +different +missing$/);
    expect(row("layer 3")[1]).toMatch(/MB +same +same +different +same$/);
    expect(output).toMatch(/1 of 4 mirrors give .*: stale, .*: different, .*: missing\n/);
    expect(code).toBe(1);
  });

  test("mirrors recommends only the correct ones", async () => {
    const mirrors = [stage.url, wrong[1]?.url ?? ""].flatMap((url) => ["--mirror", url]);
    const args = ["mirrors", "--only-given", "--image", reference, ...mirrors, ...against];
    const offline = { HTTPS_PROXY: UNREACHABLE };
    const { code, output } = await user([...args, "--platform", "linux/arm64"], offline);
    expect(output).toMatch(/1 +127\.\S+ +docker\.io +\d+ ms +\d+(\.\d)? MB +right +fresh/);
    expect(output).toMatch(/ wrong +fresh\n/);
    expect(output).toContain(`"registry-mirrors": [\n      "${stage.url}"\n    ]`);
    expect(output).toContain(`--upstream docker.io=${stage.url} --insecure docker.io\n`);
    expect(code).toBe(0);
  });
});

describe("doctor", () => {
  const doctor = (more: readonly string[], environment: Record<string, string> = {}) =>
    user(["doctor", "--image", reference, ...more], environment);

  test("finds nothing wrong with the mirror, nor with a Docker that uses it", async () => {
    const docker = await startDockerd(stage.url);
    try {
      const { code, output } = await doctor([], { DOCKER_HOST: docker.socket });
      expect(output).not.toContain("✗");
      expect(output).toMatch(/✓ +response +Portolan/);
      expect(output).toMatch(/✓ +range /);
      expect(output).toMatch(/✓ +docker +\d+\.\S+ asks this mirror first/);
      expect(output).toContain("✓ Nothing is wrong");
      expect(code).toBe(0);
    } finally {
      await docker.stop();
    }
  });

  test("finds a Docker that uses another mirror, and says what to put where", async () => {
    const docker = await startDockerd(UNREACHABLE);
    try {
      const { code, output } = await doctor([], { DOCKER_HOST: docker.socket });
      expect(output).toMatch(new RegExp(`✗ +docker +\\S+ uses other mirrors: ${UNREACHABLE}`));
      expect(output).toContain(
        `Put {"registry-mirrors":["${stage.url}","${UNREACHABLE}"]} into /etc/docker/daemon.json`,
      );
      expect(code).toBe(1);
    } finally {
      await docker.stop();
    }
  });

  test("finds that nothing listens, and where the mirror is instead", async () => {
    const { code, output } = await doctor(["--mirror", UNREACHABLE]);
    expect(output).toMatch(/✗ +port +nothing listens on/);
    expect(output).toContain(`A mirror answers at ${stage.url}`);
    expect(code).toBe(1);
  });

  test("reports certificates that aren't trusted, are for another name, or expire soon", async () => {
    const { folder, remove } = await workspace("doctor");
    const files = await makeCertificate(folder, ["localhost"]);
    const [key, cert] = await Promise.all([readFile(files.key, "utf8"), readFile(files.cert, "utf8")]);
    const secure = await startUpstream(stage.url, { tls: { key, cert } });
    try {
      const unknown = await doctor(["--mirror", secure.url]);
      expect(unknown.output).toMatch(/✗ +tls +its certificate is self-signed/);
      const trusted = { NODE_EXTRA_CA_CERTS: files.cert };
      const misnamed = await doctor(["--mirror", secure.url], trusted);
      expect(misnamed.output).toMatch(/✗ +tls +its certificate is for another name/);
      const named = await doctor(["--mirror", secure.url.replace("127.0.0.1", "localhost")], trusted);
      expect(named.output).toMatch(/! +tls +its certificate ends in (2 days|48 hours|47 hours)/);
      expect(named.output).toMatch(/✓ +range /);
      expect(named.code).toBe(0);
    } finally {
      await secure.stop();
      await remove();
    }
  });
});

test("doctor requests a key that the mirror requires, and reads it from docker's configuration", async () => {
  const key = generateKey();
  const keys = [{ name: "reader", hash: await hashKey(key) }];
  const vars = { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(keys), SIGNING_SECRET: generateKey() };
  const keyed = await startStage(inject("registry"), vars);
  const { folder, remove } = await workspace("keyed");
  try {
    const mirror = ["--mirror", keyed.url];
    const without = await user(["doctor", "--image", reference, ...mirror]);
    expect(without.output).toMatch(/✗ +key +one is wanted, and none is known here/);
    expect(without.code).toBe(1);
    const auth = Buffer.from(`reader:${key}`).toString("base64");
    const auths = { [new URL(keyed.url).host]: { auth } };
    await writeFile(join(folder, "config.json"), JSON.stringify({ auths }));
    const environment = { DOCKER_CONFIG: folder };
    const { output, code } = await user(["doctor", "--image", reference, ...mirror], environment);
    expect(output).toMatch(/✓ +key +taken, from .*config\.json/);
    expect(code).toBe(0);
    const verified = await user(["verify", reference, ...mirror, ...against], environment);
    expect(verified.code).toBe(0);
  } finally {
    await keyed.stop();
    await remove();
  }
});
