/** BuildKit on its own or as buildx's builder: buildkitd.toml. */
import {
  authority,
  chooseShape,
  endpoint,
  isOnThisMachine,
  isPlainHttp,
  moreNotes,
  referencePrefix,
  upstreamsOf,
} from "../addresses.ts";
import { type Guide, type GuideFile, type GuideRequest, toml } from "../guide.ts";
import { loginSteps } from "../login.ts";

export function buildkit(request: GuideRequest): Guide {
  const { file, hosts, notes } = buildkitdToml(request);
  // The builder is a container, in which the machine's loopback is out of reach on any other network.
  const network = isOnThisMachine(request) ? " --driver-opt network=host" : "";
  return {
    title: "BuildKit",
    steps: [
      { text: "Configure a mirror for each registry.", file },
      {
        text: "Create a builder with it. If you run `buildkitd` yourself, it reads the file at that path by default.",
        command: `docker buildx create --name portolan --use${network} --buildkitd-config ${file.path}`,
      },
      ...loginSteps(request, "docker", hosts),
      { text: "Build.", command: "docker buildx build ." },
    ],
    notes: [
      ...notes,
      "The builder built into dockerd, used without `buildx create`, doesn't read buildkitd.toml; it uses dockerd's `registry-mirrors`, for docker.io only.",
    ],
  };
}

/** @returns with the hosts that a login for the mirror is for */
export function buildkitdToml(request: GuideRequest): {
  file: GuideFile;
  hosts: readonly string[];
  notes: string[];
} {
  const { shape, notes } = chooseShape(request, ["path", "host", "ns"]);
  const servicesOf = (upstream: string): string =>
    shape === "path" ? referencePrefix(request, upstream) : new URL(endpoint(request, upstream, shape)).host;
  const upstreams = upstreamsOf(request);
  const registry = Object.fromEntries(
    upstreams.map((upstream) => [upstream, { mirrors: [servicesOf(upstream)] }]),
  );
  const hosts = shape === "host" ? upstreams.map(servicesOf) : [authority(request)];
  const plain = isPlainHttp(request) ? Object.fromEntries(hosts.map((host) => [host, { http: true }])) : {};
  return {
    file: toml("/etc/buildkit/buildkitd.toml", { registry: { ...registry, ...plain } }),
    hosts,
    notes: [...notes, ...moreNotes(request)],
  };
}
