/** k3d: k3s in Docker, given registries.yaml when a cluster is made. */
import { referencePrefix } from "../addresses.ts";
import { fromContainers, RUN_A_POD } from "../containers.ts";
import type { Guide, GuideRequest } from "../guide.ts";
import { registriesYaml } from "./k3s.ts";

export function k3d(given: GuideRequest): Guide {
  const { request, steps } = fromContainers(given);
  const { file, notes } = registriesYaml(request, "portolan-registries.yaml");
  const ghcr = referencePrefix(given, "ghcr.io");
  return {
    title: "k3d",
    steps: [
      ...steps,
      { text: "Write the mirrors into a file.", file },
      {
        text: "Create the cluster with it. An existing cluster doesn't pick it up.",
        command: `k3d cluster create portolan --registry-config ${file.path}`,
      },
      RUN_A_POD,
    ],
    notes: [
      ...notes,
      `k3d's own images are pulled by Docker, not by the cluster. \`rancher/k3s\` comes from docker.io, for which Docker can use a mirror; the others come from ghcr.io, for which it can't. To pull those through the mirror, set \`K3D_IMAGE_LOADBALANCER=${ghcr}/k3d-io/k3d-proxy:VERSION\` and \`K3D_IMAGE_TOOLS=${ghcr}/k3d-io/k3d-tools:VERSION\` in the environment of \`k3d\`, with k3d's own version.`,
    ],
  };
}
