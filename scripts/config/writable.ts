/** Which of a guide's files `--write` changes, and how. */
import type { ClientName } from "../../src/guides/clients.ts";
import type { GuideFile } from "../../src/guides/guide.ts";

/** `merge` puts the guide's settings into what is there; `replace` is for files that are Portolan's own. */
export type Treatment = "merge" | "replace";

/**
 * By a file's language. A client without an entry has its configuration somewhere else than in a file of this machine:
 * in a cluster, a pipeline, a program's database, or on a command line.
 */
const WRITABLE: Partial<Record<ClientName, Partial<Record<GuideFile["language"], Treatment>>>> = {
  docker: { json: "merge" },
  "docker-containerd": { json: "merge", toml: "merge" },
  "containerd-1": { toml: "merge" },
  "containerd-2": { toml: "merge" },
  k3s: { yaml: "merge" },
  rke2: { yaml: "merge" },
  k3d: { yaml: "merge" },
  minikube: { toml: "merge" },
  kind: { toml: "merge", yaml: "merge" },
  podman: { toml: "replace", json: "merge" },
  "cri-o": { toml: "replace", json: "merge" },
  nerdctl: { toml: "merge" },
  buildkit: { toml: "merge" },
  nginx: { nginx: "replace" },
  registry: { yaml: "replace" },
  "registry-behind": { yaml: "replace" },
};

/** @returns null for a file that isn't written */
export function treatmentOf(client: ClientName, { language }: GuideFile): Treatment | null {
  return WRITABLE[client]?.[language] ?? null;
}

export function isWritable(client: ClientName): boolean {
  return WRITABLE[client] !== undefined;
}
