// podman with the mirror in registries.conf, by path and by host.
import { inject } from "vitest";
import { registriesConf } from "./support/configurations.ts";
import { REPOSITORIES } from "./support/global.ts";
import { startPodman } from "./support/podman.ts";
import { threePulls } from "./support/pulls.ts";

threePulls({
  name: "podman, ghcr.io by path",
  upstream: "ghcr.io",
  start: ({ port }) => startPodman(registriesConf("ghcr.io", `127.0.0.1:${port}/ghcr.io`)),
});

threePulls({
  name: "podman, docker.io by host",
  upstream: "docker.io",
  start: ({ port }) => startPodman(registriesConf("docker.io", `docker.mirror.test:${port}`)),
});

threePulls({
  name: "podman, ghcr.io by digest, from a mirror that is requested digests only",
  upstream: "ghcr.io",
  start: ({ port }) =>
    startPodman(
      `${registriesConf("ghcr.io", `127.0.0.1:${port}/ghcr.io`)}pull-from-mirror = "digest-only"\n`,
    ),
  reference: () => `ghcr.io/${REPOSITORIES["ghcr.io"]}@${inject("image").index.digest}`,
});
