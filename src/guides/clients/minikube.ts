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
        "With the containerd runtime: minikube copies everything below `~/.minikube/files` into each node it creates.",
      ),
      {
        text: "Create the cluster. Files and options apply when a node is created, so delete an existing cluster first.",
        command: "minikube delete\nminikube start --container-runtime=containerd",
      },
      ...dockerRuntime(request),
      RUN_A_POD,
    ],
    notes: [
      ...notes,
      `The node image and the preloaded Kubernetes images aren't pulled by the runtime: \`--base-image=${referencePrefix(request, "gcr.io")}/k8s-minikube/kicbase:TAG\` and \`--preload=false\` make them come through the mirror too.`,
      "`--image-repository` with a path on the mirror fails: it also looks there for `k8s-minikube/storage-provisioner`, which is on gcr.io and not on registry.k8s.io.",
    ],
  };
}

/** `--registry-mirror` accepts no path, not even `/`. */
function dockerRuntime(request: GuideRequest): Step[] {
  if (!upstreamsOf(request).includes("docker.io")) return [];
  const { url } = dockerMirror(request.shape === "prefix" ? { ...request, shape: null } : request);
  if (new URL(url).pathname !== "/") {
    return [
      {
        text: "With the docker runtime, a key can only be part of the mirror's host name, because `--registry-mirror` takes no path: give the mirror a DOMAIN, or use containerd.",
      },
    ];
  }
  const insecure = isPlainHttp(request) ? ` --insecure-registry=${request.mirror.host}` : "";
  return [
    {
      text: "With the docker runtime instead, which supports docker.io only:",
      command: `minikube start --container-runtime=docker --registry-mirror=${url}${insecure}`,
    },
  ];
}
