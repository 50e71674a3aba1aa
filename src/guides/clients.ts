/** Every client there is a guide for, by the name that the command line takes. */
import { artifacts } from "./clients/artifacts.ts";
import { bottlerocket } from "./clients/bottlerocket.ts";
import { buildkit } from "./clients/buildkit.ts";
import { buildxAction } from "./clients/buildx-action.ts";
import { containerd1, containerd2 } from "./clients/containerd.ts";
import { crio } from "./clients/cri-o.ts";
import { docker } from "./clients/docker.ts";
import { dockerContainerd } from "./clients/docker-containerd.ts";
import { eks } from "./clients/eks.ts";
import { gitlabDind } from "./clients/gitlab-dind.ts";
import { gke } from "./clients/gke.ts";
import { harbor } from "./clients/harbor.ts";
import { k3d } from "./clients/k3d.ts";
import { k3s, rke2 } from "./clients/k3s.ts";
import { kaniko } from "./clients/kaniko.ts";
import { kind } from "./clients/kind.ts";
import { minikube } from "./clients/minikube.ts";
import { nerdctl } from "./clients/nerdctl.ts";
import { nexus } from "./clients/nexus.ts";
import { nginx } from "./clients/nginx.ts";
import { ollama } from "./clients/ollama.ts";
import { podman } from "./clients/podman.ts";
import { reference } from "./clients/reference.ts";
import { registry, registryBehind } from "./clients/registry.ts";
import { talos } from "./clients/talos.ts";
import type { Guide, GuideRequest } from "./guide.ts";

/** From the most used to the most special. */
export const CLIENTS = {
  docker,
  "docker-containerd": dockerContainerd,
  "containerd-1": containerd1,
  "containerd-2": containerd2,
  k3s,
  rke2,
  k3d,
  minikube,
  kind,
  podman,
  "cri-o": crio,
  nerdctl,
  buildkit,
  "buildx-action": buildxAction,
  kaniko,
  "gitlab-dind": gitlabDind,
  talos,
  bottlerocket,
  gke,
  eks,
  nginx,
  harbor,
  nexus,
  registry,
  "registry-behind": registryBehind,
  ollama,
  artifacts,
  reference,
} as const satisfies Record<string, (request: GuideRequest) => Guide>;

export type ClientName = keyof typeof CLIENTS;

/** Other names by which people know a client. */
export const CLIENT_ALIASES: Readonly<Record<string, ClientName>> = {
  containerd: "containerd-2",
  buildah: "podman",
  skopeo: "podman",
  buildx: "buildkit",
  trivy: "artifacts",
  helm: "artifacts",
  flux: "artifacts",
  opentofu: "artifacts",
  devcontainers: "artifacts",
  homebrew: "artifacts",
};

/** Finds a client by its name or another name of it; null if there is none. */
export function clientNamed(name: string): ClientName | null {
  if (Object.hasOwn(CLIENTS, name)) return name as ClientName;
  return Object.hasOwn(CLIENT_ALIASES, name) ? (CLIENT_ALIASES[name] ?? null) : null;
}
