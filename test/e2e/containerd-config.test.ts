// `config containerd-… --write` on the config.toml that a node has: containerd starts with it, its plugin for Kubernetes
// loads, and pulls through the mirror. The registries themselves can't be reached, so a pull that succeeds came through it.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { configure } from "./support/configured.ts";
import { NODE, startCriContainerd } from "./support/cri-containerd.ts";
import { type Stage, startStage } from "./support/mirror.ts";
import { run, workspace } from "./support/process.ts";
import { pulledImageOf, referenceOf } from "./support/pulls.ts";

const image = inject("image");
let stage: Stage;
beforeAll(async () => {
  stage = await startStage(inject("registry"));
});
afterAll(() => stage.stop());

const VERSIONS = [
  { name: "containerd 1", client: "containerd-1", program: "containerd" },
  // Debian has none yet: .ci/run builds it and says here where it is.
  { name: "containerd 2", client: "containerd-2", program: process.env.CONTAINERD_2 ?? "" },
] as const;

const VERSION_1 = '# written years ago\n[plugins.cri.containerd]\n  snapshotter = "overlayfs"\n';

describe.each(VERSIONS.filter(({ program }) => program !== ""))("$name", ({ client, program }) => {
  const files: [string, () => Promise<string | null>][] = [
    ["its own default config.toml", () => run([program, "config", "default"])],
    ["a config.toml of version 2", async () => NODE],
    ["a config.toml of version 1", async () => VERSION_1],
  ];

  test.each(files)("pulls through the mirror with %s", async (_, before) => {
    const containerd = await startCriContainerd({
      program,
      before: await before(),
      configure: (root) => configure(client, root, ["--mirror", stage.url]),
    });
    try {
      expect(await containerd.pull(referenceOf("docker.io"))).toEqual(pulledImageOf(image));
      expect(await containerd.pull(referenceOf("ghcr.io"))).toEqual(pulledImageOf(image));
    } finally {
      await containerd.stop();
    }
  });

  test.each<[string, Record<string, () => Promise<string | null>>]>([
    ["no config.toml", {}],
    ...files.map(([name, text]) => [name, { "config.toml": text }] as [string, Record<string, typeof text>]),
    [
      "an imported file that has the plugin's settings",
      {
        "config.toml": async () => 'version = 2\nimports = ["conf.d/99-gpu.toml"]\n',
        "conf.d/99-gpu.toml": async () => NODE,
      },
    ],
  ])("has one config_path with %s", async (_, before) => {
    const { folder, remove } = await workspace("config-dump");
    try {
      const settings = join(folder, "etc/containerd");
      await mkdir(join(settings, "conf.d"), { recursive: true });
      for (const [name, text] of Object.entries(before))
        await writeFile(join(settings, name), (await text()) ?? "");
      await configure(client, folder, ["--mirror", stage.url]);
      const dumped = await run([program, "--config", join(settings, "config.toml"), "config", "dump"]);
      const paths = [...dumped.matchAll(/^\s*config_path = ["'](.+)["']$/gm)].map(([, value]) => value);
      expect(paths).toEqual(["/etc/containerd/certs.d"]);
    } finally {
      await remove();
    }
  });
});
