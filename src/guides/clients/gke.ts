/** Google Kubernetes Engine: containerd's hosts.toml by way of the runtime configuration file. */
import { chooseShape, endpoint, moreNotes, upstreamsOf } from "../addresses.ts";
import { type Guide, type GuideRequest, yaml } from "../guide.ts";
import { basicAuthorization } from "../key.ts";

/** More the runtime configuration file doesn't take. */
const MOST = 25;

export function gke(request: GuideRequest): Guide {
  const { shape, notes } = chooseShape(request, ["ns", "path", "prefix", "host"]);
  const upstreams = upstreamsOf(request);
  const registryHosts = upstreams.slice(0, MOST).map((server) => ({
    server,
    hosts: [
      {
        host: hostOf(endpoint(request, server, shape)),
        capabilities: ["HOST_CAPABILITY_PULL", "HOST_CAPABILITY_RESOLVE"],
        dialTimeout: "3s",
        ...(shape === "path" ? { overridePath: true } : {}),
        ...(request.key === null
          ? {}
          : { header: [{ key: "Authorization", value: [basicAuthorization(request.key)] }] }),
      },
    ],
  }));
  const file = yaml("containerd-configuration.yaml", { registryHosts });
  return {
    title: "Google Kubernetes Engine",
    steps: [
      { text: "Write the mirrors into a runtime configuration file.", file },
      {
        text: "Update the cluster with it. GKE recreates its nodes, within your maintenance windows.",
        command: `gcloud container clusters update CLUSTER --location=LOCATION --containerd-config-from-file=${file.path}`,
      },
    ],
    notes: [
      ...notes,
      ...moreNotes(request),
      ...(upstreams.length > MOST
        ? [`GKE accepts at most ${MOST} registries; those after the ${MOST}th are left out.`]
        : []),
      "GKE's documentation says which versions and node images support `registryHosts` (customize containerd configuration). If yours don't, a privileged DaemonSet that writes `hosts.toml` on the nodes does the same; see containerd.",
      "By default, popular Docker Hub images come from Google's mirror.gcr.io; with an entry for docker.io they come through your mirror.",
    ],
  };
}

/** Older versions take host and port only; https is what they then assume. */
function hostOf(endpoint: string): string {
  const { protocol, pathname, host } = new URL(endpoint);
  return protocol === "https:" && pathname === "/" ? host : endpoint;
}
