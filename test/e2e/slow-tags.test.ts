// A poisoned tag: dockerd gets the image that the tag had before, until the owner releases the new one; and the image of a day.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { type Finished, portolan } from "../scripts/support/portolan.ts";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES } from "./support/global.ts";
import { pulledImageOf } from "./support/pulls.ts";
import { tagAs } from "./support/registry.ts";

const TAG = "slow";

describe("dockerd, a tag that is poisoned", () => {
  const image = inject("image");
  const registry = inject("registry");
  const repository = REPOSITORIES["ghcr.io"];
  const reference = `ghcr.io/${repository}:${TAG}`;
  /** Another image than the index has for this machine. */
  const { manifest, config } = image.arm64;
  const poisoned = { digest: manifest.digest, config: config.digest };
  let data: string;
  let mirror: RunningMirror;
  let docker: Dockerd;

  beforeAll(async () => {
    await tagAs(registry, repository, image.index, TAG);
    data = await mkdtemp(join(tmpdir(), "slow-tags-"));
    mirror = await startMirror({
      ...{ port: 0, host: "127.0.0.1", data, upstreams: { "ghcr.io": [registry] }, insecure: ["ghcr.io"] },
      // Every pull requests the tag upstream.
      vars: { ACCESS: "open", TAG_TTL: "0", COOLDOWN: '{"*":"7d"}' },
    });
    docker = await startDockerd(mirror.url);
  });
  afterAll(async () => {
    await docker?.stop();
    await mirror?.stop();
    await rm(data, { recursive: true, force: true, maxRetries: 5 });
  });

  const pull = (prefix = "") => docker.pull(`${new URL(mirror.url).host}/${prefix}${reference}`);
  const owner = (...args: string[]): Promise<Finished> =>
    portolan([...args, "--mirror", mirror.url, "--data", data]);
  /** The prefix of today's images. */
  const today = () => `at-${new Date().toISOString().slice(0, 10).replaceAll("-", "")}/`;

  test("gets the older image, and the newer one by its digest alone", async () => {
    expect(await pull()).toEqual(pulledImageOf(image));
    await tagAs(registry, repository, manifest, TAG);
    await docker.clean();
    expect(await pull()).toEqual(pulledImageOf(image));
    expect(await pull(today())).toEqual(pulledImageOf(image));
    const { output } = await owner("tags", reference);
    expect(output).toMatch(new RegExp(`${poisoned.digest} .*ago\\n.*${image.index.digest} .* served$`, "m"));
    const exact = await docker.pull(`${new URL(mirror.url).host}/ghcr.io/${repository}@${poisoned.digest}`);
    expect(exact).toEqual(poisoned);
  });

  test("gets the newer image after its release, and the older one after that is undone", async () => {
    const released = await owner("release", reference);
    expect([released.code, released.output]).toEqual([0, expect.stringContaining(poisoned.digest)]);
    expect(await pull()).toEqual(poisoned);
    expect((await owner("release", "--list")).output).toContain(`${reference}  ${poisoned.digest}`);
    expect((await owner("release", reference, "--undo")).code).toBe(0);
    expect(await pull()).toEqual(pulledImageOf(image));
    expect((await owner("release", reference, "--undo")).code).toBe(1);
  });

  test("gets no image of a day before the mirror had seen any", async () => {
    await expect(pull("at-20200101/")).rejects.toThrow(/hasn't seen|not found|manifest unknown/i);
  });
});
