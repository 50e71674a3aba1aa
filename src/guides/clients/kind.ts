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
      ...fileSteps(files, "Configure the mirror in a folder on this machine."),
      {
        text: "Describe a cluster whose nodes mount that folder. Every node needs the `extraMounts`.",
        file: cluster,
      },
      { text: "Create the cluster.", command: `kind create cluster --config ${cluster.path}` },
      {
        text: "Check the result, and pull.",
        command: `docker exec kind-control-plane crictl pull ${exampleImage(request)}`,
      },
    ],
    notes: [
      ...notes,
      REFERRERS,
      `Node images older than kind 0.27 don't read \`${CERTIFICATES}\` by default. For those, add a \`containerdConfigPatches\` to ${cluster.path} that sets \`config_path = "${CERTIFICATES}"\` under \`[plugins."io.containerd.grpc.v1.cri".registry]\`.`,
      "The node image itself, `kindest/node`, is pulled by the Docker that kind runs on: configure that one too.",
    ],
  };
}
