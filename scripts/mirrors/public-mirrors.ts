/** Public mirrors. Being listed is no praise: `portolan mirrors` measures what each is worth today. */

export interface PublicMirror {
  /** As clients are given it. `/v2` is put after its path unless that has it: then the path is all that stands before the repository. */
  url: string;
  /** The registry whose images it has under that URL. */
  registry: string;
}

export const PUBLIC_MIRRORS: readonly PublicMirror[] = [
  { url: "https://mirror.gcr.io", registry: "docker.io" },
  { url: "https://docker.m.daocloud.io", registry: "docker.io" },
  { url: "https://m.daocloud.io/v2/docker.io", registry: "docker.io" },
  { url: "https://mirror.baidubce.com", registry: "docker.io" },
  { url: "https://docker.nju.edu.cn", registry: "docker.io" },
  { url: "https://hub-mirror.c.163.com", registry: "docker.io" },
  { url: "https://ghcr.m.daocloud.io", registry: "ghcr.io" },
  { url: "https://m.daocloud.io/v2/ghcr.io", registry: "ghcr.io" },
  { url: "https://ghcr.nju.edu.cn", registry: "ghcr.io" },
  { url: "https://quay.m.daocloud.io", registry: "quay.io" },
  { url: "https://m.daocloud.io/v2/quay.io", registry: "quay.io" },
  { url: "https://quay.nju.edu.cn", registry: "quay.io" },
  { url: "https://k8s.m.daocloud.io", registry: "registry.k8s.io" },
  { url: "https://m.daocloud.io/v2/registry.k8s.io", registry: "registry.k8s.io" },
];
