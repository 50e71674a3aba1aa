/** kind: hosts.toml on this machine, mounted into each node. */
import { fromContainers } from "../containers.ts";
import { exampleImage, fileSteps, type Guide, type GuideRequest, yaml } from "../guide.ts";
import { hostsFiles, REFERRERS } from "../hosts-toml.ts";
import { CERTIFICATES } from "./containerd.ts";

/** Absolute, because a relative one would be taken from where `kind` runs. */
const HOST_FOLDER = "/etc/portolan/kind-certs.d";

export function kind(given: GuideRequest): Guide {
  const { request, steps } = fromContainers(given);
  const { files, notes } = hostsFiles(request, HOST_FOLDER);
  const cluster = yaml("kind-portolan.yaml", {
    kind: "Cluster",
    apiVersion: "kind.x-k8s.io/v1alpha4",
    nodes: [
      {
        role: "control-plane",
        extraMounts: [{ hostPath: HOST_FOLDER, containerPath: CERTIFICATES, readOnly: true }],
      },
    ],
  });
  return {
    title: "kind",
    steps: [
      ...steps,
      ...fileSteps(files, "Name the mirror in a folder of this machine."),
      {
        text: "Describe a cluster whose nodes have that folder. Every node needs the `extraMounts`.",
        file: cluster,
      },
      { text: "Make the cluster.", command: `kind create cluster --config ${cluster.path}` },
      {
        text: "Look at the result, and pull.",
        command: `docker exec kind-control-plane crictl pull ${exampleImage(request)}`,
      },
    ],
    notes: [
      ...notes,
      REFERRERS,
      `Node images from before kind 0.27 don't look into \`${CERTIFICATES}\` by themselves. For those add to ${cluster.path} a \`containerdConfigPatches\` that sets \`config_path = "${CERTIFICATES}"\` under \`[plugins."io.containerd.grpc.v1.cri".registry]\`.`,
      "The image of the node itself, `kindest/node`, is pulled by the Docker that kind runs in: configure that one too.",
    ],
  };
}
