// A layer of 2 GB, by dockerd without a length and by skopeo with one. It takes minutes: LARGE_LAYER=1 switches it on.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { type Dockerd, startDockerd } from "./support/dockerd.ts";
import { isolated, run, workspace } from "./support/process.ts";

const { LARGE_LAYER = "" } = process.env;
const SIZE = 2_000_000_000;
/** Milliseconds for one command: dockerd compresses the layer on one processor. */
const DEADLINE = 900_000;

describe.skipIf(LARGE_LAYER === "")("a layer of 2 GB", { timeout: 4 * DEADLINE }, () => {
  let place: Awaited<ReturnType<typeof workspace>>;
  let mirror: RunningMirror;
  let second: RunningMirror;
  let docker: Dockerd;

  beforeAll(async () => {
    place = await workspace("large-layer");
    const start = (name: string) =>
      startMirror({ port: 0, host: "127.0.0.1", data: join(place.folder, name) });
    mirror = await start("first");
    second = await start("second");
    docker = await startDockerd(mirror.url);
  });
  afterAll(async () => {
    await docker?.stop();
    await mirror?.stop();
    await second?.stop();
    await place?.remove();
  });

  const nameAt = ({ url }: RunningMirror) => `${new URL(url).host}/hosted/team/large:1`;
  const sh = (script: string) =>
    run(isolated(place.hosts, ["sh", "-ec", script]), {
      deadline: DEADLINE,
      environment: { HOME: join(place.folder, "home") },
      workingDirectory: place.folder,
    });
  const manifestAt = async ({ url }: RunningMirror) => {
    const response = await fetch(`${url}/v2/hosted/team/large/manifests/1`, {
      headers: {
        Accept:
          "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
      },
    });
    return (await response.json()) as { layers: { digest: string; size: number }[] };
  };

  test("is pushed by dockerd, and pulled back", async () => {
    await sh(`head -c ${SIZE} /dev/urandom > content; tar cf root.tar content; rm content`);
    await docker.command(["import", join(place.folder, "root.tar"), nameAt(mirror)], DEADLINE);
    await rm(join(place.folder, "root.tar"));
    const id = async () =>
      (await docker.command(["image", "inspect", "--format", "{{.Id}}", nameAt(mirror)])).trim();
    const pushed = await id();
    await docker.command(["push", "--quiet", nameAt(mirror)], DEADLINE);
    await docker.clean();
    await docker.command(["pull", "--quiet", nameAt(mirror)], DEADLINE);
    expect(await id()).toBe(pushed);
  });

  test("is pulled by skopeo, pushed to another mirror, and pulled back unchanged", async () => {
    const copy = "skopeo --insecure-policy copy --quiet --src-tls-verify=false --dest-tls-verify=false";
    await sh(`${copy} docker://${nameAt(mirror)} dir:pulled`);
    await sh(`${copy} dir:pulled docker://${nameAt(second)}`);
    await sh(`${copy} docker://${nameAt(second)} dir:again`);
    const [layer] = (await manifestAt(mirror)).layers;
    const [again] = (await manifestAt(second)).layers;
    expect(again).toEqual(layer);
    expect(again?.size).toBeGreaterThan(SIZE);
    const hex = layer?.digest.slice("sha256:".length) ?? "";
    expect(await sh(`sha256sum again/${hex}`)).toMatch(new RegExp(`^${hex} `));
  });
});
