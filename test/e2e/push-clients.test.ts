// Pushes by buildah and containerd, pulled back with nothing left of them, digests compared.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import type { RunningMirror } from "../../scripts/local/mirror.ts";
import { startContainerd } from "./support/containerd.ts";
import { digestAt, type HostedPlace, hostedPlace } from "./support/hosted.ts";
import { partsOf } from "./support/layout.ts";
import { CLIENT_DEADLINE, isolated, run } from "./support/process.ts";
import { referenceOf } from "./support/pulls.ts";
import { startSkopeo } from "./support/skopeo.ts";

const image = inject("image");
let place: HostedPlace;
let mirror: RunningMirror;

beforeAll(async () => {
  place = await hostedPlace("push-clients");
  mirror = await place.start("data", { "docker.io": [inject("registry")] });
});
afterAll(() => place?.stop());

const host = () => new URL(mirror.url).host;

test("buildah pushes an image, whose layers come back as they were", async () => {
  const root = join(place.folder, "buildah");
  const policy = join(place.folder, "policy.json");
  await writeFile(policy, JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  const buildah = (command: string, ...rest: string[]) => {
    const storage = ["--root", root, "--runroot", `${root}-run`, "--storage-driver", "vfs"];
    const options = ["--quiet", "--tls-verify=false", "--signature-policy", policy];
    return run(isolated(place.hosts, ["buildah", ...storage, command, ...options, ...rest]), {
      deadline: CLIENT_DEADLINE,
      environment: { HOME: join(place.folder, "home") },
    });
  };
  const target = `${host()}/hosted/team/buildah:1`;
  const digestFile = join(place.folder, "digest");
  const id = (await buildah("pull", `${host()}/${referenceOf("docker.io")}`)).trim();
  await buildah("push", "--digestfile", digestFile, id, `docker://${target}`);
  await rm(root, { recursive: true, force: true });
  const again = (await buildah("pull", target)).trim();
  expect(again).toBe(id);
  expect(`sha256:${again}`).toBe(image.amd64.config.digest);
  expect(await digestAt(mirror, "team/buildah", "1")).toBe((await readFile(digestFile, "utf8")).trim());
});

test("containerd pushes an image with all its content unchanged", async () => {
  const containerd = await startContainerd({
    [host()]: `server = "${mirror.url}"\n[host."${mirror.url}"]\ncapabilities = ["pull", "resolve", "push"]\n`,
  });
  try {
    const source = `${host()}/${referenceOf("docker.io")}`;
    const target = `${host()}/hosted/team/containerd:1`;
    await containerd.pull(source);
    await containerd.push(source, target);
    expect(await digestAt(mirror, "team/containerd", "1")).toBe(image.amd64.manifest.digest);
    await containerd.clean();
    const pulled = await containerd.pull(target);
    expect(pulled).toEqual({ digest: image.amd64.manifest.digest, config: image.amd64.config.digest });
    const skopeo = await startSkopeo(`[[registry]]\nlocation = "${host()}"\ninsecure = true\n`);
    try {
      const copied = await skopeo.copy(target, false);
      expect(copied.blobs).toEqual(partsOf(image.amd64).sort());
    } finally {
      await skopeo.stop();
    }
  } finally {
    await containerd.stop();
  }
});
