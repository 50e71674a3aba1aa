// Newer clients than Debian stable's. NEWER_CLIENTS names the folder that .ci/run unpacks them into.
import { describe } from "vitest";
import { registriesConf } from "./support/configurations.ts";
import { startDockerdWith } from "./support/dockerd.ts";
import { NEWER_CLIENTS, newer } from "./support/newer.ts";
import { HAS_NEWEST_DOCKERD, NEWEST_DOCKERD } from "./support/newest-dockerd.ts";
import { startPodman } from "./support/podman.ts";
import { threePulls } from "./support/pulls.ts";

describe.skipIf(NEWER_CLIENTS === "")("of a newer Debian:", () => {
  threePulls({
    name: "dockerd 28, registry-mirrors, its own image store",
    upstream: "docker.io",
    start: ({ url }) =>
      startDockerdWith(["--registry-mirror", url], {}, [], {
        isolate: newer,
        storage: ["--storage-driver", "vfs"],
      }),
  });
  threePulls({
    name: "dockerd 28, registry-mirrors, containerd's image store",
    upstream: "docker.io",
    start: ({ url }) =>
      startDockerdWith(["--registry-mirror", url], {}, [], {
        isolate: newer,
        storage: ["--feature", "containerd-snapshotter=true", "--storage-driver", "native"],
      }),
  });
  threePulls({
    name: "podman 5, ghcr.io by path",
    upstream: "ghcr.io",
    start: ({ port }) => startPodman(registriesConf("ghcr.io", `127.0.0.1:${port}/ghcr.io`), {}, newer),
  });
});

describe.skipIf(!HAS_NEWEST_DOCKERD)("built from its module:", () => {
  threePulls({
    name: "dockerd 29, registry-mirrors, containerd's image store",
    upstream: "docker.io",
    start: ({ url }) => startDockerdWith(["--registry-mirror", url], {}, [], NEWEST_DOCKERD),
  });
});
