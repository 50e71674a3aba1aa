/** k3d: k3s in Docker, given registries.yaml when a cluster is made. */
import { fromContainers, RUN_A_POD } from "../containers.ts";
import type { Guide, GuideRequest } from "../guide.ts";
import { registriesYaml } from "./k3s.ts";

export function k3d(given: GuideRequest): Guide {
  const { request, steps } = fromContainers(given);
  const { file, notes } = registriesYaml(request, "portolan-registries.yaml");
  return {
    title: "k3d",
    steps: [
      ...steps,
      { text: "Write the registries' mirrors into a file.", file },
      {
        text: "Make the cluster with it. A cluster that exists doesn't take it over.",
        command: `k3d cluster create portolan --registry-config ${file.path}`,
      },
      RUN_A_POD,
    ],
    notes: [
      ...notes,
      "The image of the node itself, `rancher/k3s`, is pulled by the Docker that k3d runs in: configure that one too.",
    ],
  };
}
