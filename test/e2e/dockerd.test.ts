// dockerd with the mirror in `registry-mirrors`, which is for docker.io only, and with the mirror in the image's name.
import { startDockerd } from "./support/dockerd.ts";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { threePulls } from "./support/pulls.ts";

threePulls({
  name: "dockerd, registry-mirrors",
  upstream: "docker.io",
  start: ({ url }) => startDockerd(url),
});

threePulls({
  name: "dockerd, the mirror and the upstream in the image's name",
  upstream: "ghcr.io",
  start: ({ url }) => startDockerd(url),
  reference: ({ port }) => `127.0.0.1:${port}/ghcr.io/${REPOSITORIES["ghcr.io"]}:${TAG}`,
});
