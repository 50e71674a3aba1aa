/** Public mirrors, with what is asked of each. Being listed is no praise: `portolan mirrors` measures what they are worth today. */

export interface PublicMirror {
  /**
   * As an endpoint is written: a path goes before the repository, so that `https://m.daocloud.io/docker.io` is asked for
   * `/v2/docker.io/library/alpine/…`.
   */
  url: string;
  /** The registry whose images it has under that URL. */
  registry: string;
}

export const PUBLIC_MIRRORS: readonly PublicMirror[] = [
  { url: "https://mirror.gcr.io", registry: "docker.io" },
  { url: "https://docker.m.daocloud.io", registry: "docker.io" },
  { url: "https://m.daocloud.io/docker.io", registry: "docker.io" },
  { url: "https://mirror.baidubce.com", registry: "docker.io" },
  { url: "https://docker.nju.edu.cn", registry: "docker.io" },
  { url: "https://hub-mirror.c.163.com", registry: "docker.io" },
  { url: "https://ghcr.m.daocloud.io", registry: "ghcr.io" },
  { url: "https://m.daocloud.io/ghcr.io", registry: "ghcr.io" },
  { url: "https://ghcr.nju.edu.cn", registry: "ghcr.io" },
  { url: "https://quay.m.daocloud.io", registry: "quay.io" },
  { url: "https://m.daocloud.io/quay.io", registry: "quay.io" },
  { url: "https://quay.nju.edu.cn", registry: "quay.io" },
  { url: "https://k8s.m.daocloud.io", registry: "registry.k8s.io" },
  { url: "https://m.daocloud.io/registry.k8s.io", registry: "registry.k8s.io" },
];
