/** minikube: `--registry-mirror` for the docker runtime, hosts.toml copied into the node for containerd. */
import { isPlainHttp, referencePrefix, upstreamsOf } from "../addresses.ts";
import { fromContainers, RUN_A_POD } from "../containers.ts";
import { dockerMirror } from "../docker-mirror.ts";
import { fileSteps, type Guide, type GuideRequest, type Step } from "../guide.ts";
import { hostsFiles } from "../hosts-toml.ts";

export function minikube(given: GuideRequest): Guide {
  const { request, steps } = fromContainers(given);
  const { files, notes } = hostsFiles(request, "~/.minikube/files/etc/containerd/certs.d");
  return {
    title: "minikube",
    steps: [
      ...steps,
      ...fileSteps(
        files,
        "With the containerd runtime: minikube copies what lies below `~/.minikube/files` into the node it makes.",
      ),
      {
        text: "Make the cluster. Files and options count when a node is made, so delete one that exists first.",
        command: "minikube delete\nminikube start --container-runtime=containerd",
      },
      ...dockerRuntime(request),
      RUN_A_POD,
    ],
    notes: [
      ...notes,
      `The node's own image and the preloaded images of Kubernetes don't come through the runtime: \`--base-image=${referencePrefix(request, "gcr.io")}/k8s-minikube/kicbase:TAG\` and \`--preload=false\` bring them through the mirror too.`,
      "`--image-repository` with a mirror's path fails: it asks there for `k8s-minikube/storage-provisioner` too, which is in gcr.io and not in registry.k8s.io.",
    ],
  };
}

/** What `--registry-mirror` takes: no path, not even `/`. */
function dockerRuntime(request: GuideRequest): Step[] {
  if (!upstreamsOf(request).includes("docker.io")) return [];
  const { url } = dockerMirror(request.shape === "prefix" ? { ...request, shape: null } : request);
  if (new URL(url).pathname !== "/") {
    return [
      {
        text: "With the docker runtime a key can only be carried in the mirror's host name, because `--registry-mirror` takes no path: give the mirror a DOMAIN, or use containerd.",
      },
    ];
  }
  const insecure = isPlainHttp(request) ? ` --insecure-registry=${request.mirror.host}` : "";
  return [
    {
      text: "With the docker runtime instead, for docker.io only:",
      command: `minikube start --container-runtime=docker --registry-mirror=${url}${insecure}`,
    },
  ];
}
