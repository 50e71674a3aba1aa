/** Docker with its own image store: `registry-mirrors` in daemon.json. */
import { authority, isOnThisMachine, isPlainHttp, referencePrefix, upstreamsOf } from "../addresses.ts";
import { dockerMirror } from "../docker-mirror.ts";
import { type Guide, type GuideRequest, json, type Step } from "../guide.ts";
import { loginSteps } from "../login.ts";

export const DAEMON_JSON = "/etc/docker/daemon.json";

export function docker(request: GuideRequest): Guide {
  const { url, notes } = dockerMirror(request);
  const upstreams = upstreamsOf(request);
  const forHub = upstreams.includes("docker.io");
  const [other] = upstreams.filter((name) => name !== "docker.io");
  // Loopback counts as insecure by itself; what is listed here matters for pulls by the mirror's name.
  const insecure = isPlainHttp(request) && !isOnThisMachine(request);
  const settings = {
    ...(forHub ? { "registry-mirrors": [url] } : {}),
    ...(insecure ? { "insecure-registries": [authority(request)] } : {}),
  };
  return {
    title: "Docker",
    steps: [
      ...(forHub || insecure ? configure(settings) : []),
      ...(other === undefined ? [] : byName(request, other)),
    ],
    notes: [
      ...notes,
      "If dockerd is started with `--registry-mirror` (`systemctl cat docker` shows it), change that option instead: if both are set, dockerd doesn't start.",
      "New installations of Docker 29 and later use the containerd image store. `registry-mirrors` works with it too; a hosts.toml for each registry also covers registries other than docker.io (see Docker with the containerd image store).",
    ],
  };
}

function configure(settings: object): Step[] {
  return [
    { text: "Add the mirror to Docker's configuration.", file: json(DAEMON_JSON, settings) },
    {
      text: "Reload Docker; running containers aren't affected. `docker info` then lists the mirror under Registry Mirrors.",
      command: "systemctl reload docker\ndocker info",
    },
  ];
}

function byName(request: GuideRequest, upstream: string): Step[] {
  return [
    ...loginSteps(request, "docker"),
    {
      text: "Pull from other registries through the mirror's name.",
      command: `docker pull ${referencePrefix(request, upstream)}/OWNER/IMAGE:TAG`,
    },
  ];
}
