// containerd with a hosts.toml in each of the shapes that the mirror answers.
import { hostsToml } from "./support/configurations.ts";
import { startContainerd } from "./support/containerd.ts";
import { threePulls } from "./support/pulls.ts";

threePulls({
  name: "containerd, shape H: docker.io by the host's first label",
  upstream: "docker.io",
  start: ({ port }) =>
    startContainerd({
      "docker.io": hostsToml(`http://docker.mirror.test:${port}`, "https://registry-1.docker.io"),
    }),
});

threePulls({
  name: "containerd, shape H: ghcr.io by the host's first label",
  upstream: "ghcr.io",
  start: ({ port }) =>
    startContainerd({ "ghcr.io": hostsToml(`http://ghcr.mirror.test:${port}`, "https://ghcr.io") }),
});

threePulls({
  name: "containerd, shape A: the upstream behind /v2/, with override_path",
  upstream: "ghcr.io",
  start: ({ url }) =>
    startContainerd({
      "ghcr.io": hostsToml(`${url}/v2/ghcr.io`, "https://ghcr.io", "override_path = true"),
    }),
});

threePulls({
  name: "containerd, shape B: the upstream before /v2/",
  upstream: "ghcr.io",
  start: ({ url }) => startContainerd({ "ghcr.io": hostsToml(`${url}/ghcr.io`, "https://ghcr.io") }),
});

threePulls({
  name: "containerd, shape N: _default/hosts.toml, the upstream in ns",
  upstream: "ghcr.io",
  start: ({ url }) => startContainerd({ _default: hostsToml(url, null) }),
});
