/** The registries that Portolan mirrors by default: their endpoints and peculiarities. */
import type { Registry } from "../registry/registry.ts";

/** An upstream in the built-in table or under UPSTREAMS. */
export interface UpstreamSettings {
  /**
   * Other names of the upstream. One with a dot stands for it wherever its name could (`index.docker.io`); one without
   * is a host label under DOMAIN only (`docker`), because in a path it would shadow a Docker Hub user.
   */
  aliases?: readonly string[];
  /**
   * Base URLs. The first is the primary, which alone resolves tags; the others are fallbacks, used for digests only. A path
   * is put before the repository: `https://m.daocloud.io/docker.io` is requested `/v2/docker.io/library/alpine/…`.
   */
  endpoints?: readonly string[];
  /** Hosts, besides the endpoints' own, that may issue tokens for this upstream and receive them. */
  realms?: readonly string[];
  /** Seconds for which a tag of this upstream is fresh; TAG_TTL where it is left out. */
  tagTtl?: number;
  /** As of `Upstream`. */
  login?: boolean | "required";
}

/** An upstream with every default applied. */
export interface Upstream extends Registry {
  aliases: readonly string[];
  /** Seconds. */
  tagTtl: number;
  /**
   * `true`: users' own logins are passed through on its own host. `required`: it gives nothing to anonymous clients, so all of
   * it is private content, for the holders of keys and with the operator's credential.
   */
  login: boolean | "required";
}

/**
 * Names with a leading `*.` stand for every host one label below, and each such host is an upstream of its own.
 * An entry without endpoints is served by the host of its name.
 */
export const REGISTRIES: Readonly<Record<string, UpstreamSettings>> = {
  "docker.io": {
    aliases: ["docker", "hub", "index.docker.io", "registry-1.docker.io"],
    endpoints: ["https://registry-1.docker.io", "https://mirror.gcr.io"],
    realms: ["auth.docker.io"],
  },
  "ghcr.io": { aliases: ["ghcr"] },
  "quay.io": { aliases: ["quay"] },
  "gcr.io": { aliases: ["gcr"] },
  "*.gcr.io": {},
  "*.pkg.dev": {},
  "registry.k8s.io": { aliases: ["k8s"] },
  "mcr.microsoft.com": { aliases: ["mcr"] },
  // Once a token has expired nvcr.io names a realm that gives none to anonymous callers (authn.nvidia.com), so that one
  // is left out: the token is dropped and the first challenge asked for again.
  "nvcr.io": { aliases: ["nvcr"] },
  "public.ecr.aws": { aliases: ["ecr"] },
  "registry.gitlab.com": { aliases: ["gitlab"], realms: ["gitlab.com"] },
  // A vanity name: it redirects to ghcr.io, and the challenge is ghcr.io's too.
  "lscr.io": { aliases: ["lscr"], realms: ["ghcr.io"] },
  "docker.elastic.co": { aliases: ["elastic"], realms: ["docker-auth.elastic.co"] },
  "docker.cloudsmith.io": { aliases: ["cloudsmith"] },
  "registry.opensuse.org": { aliases: ["opensuse"] },
  "codeberg.org": { aliases: ["codeberg"] },
  "registry.ollama.ai": { aliases: ["ollama"] },
  "cgr.dev": { aliases: ["chainguard"] },
  "code.forgejo.org": { aliases: ["forgejo"] },
  "container-registry.oracle.com": { aliases: ["oracle"] },
  // Also its free images are given to logged-in accounts only.
  "dhi.io": { aliases: ["dhi"], login: "required" },
  "docker.gitea.com": { aliases: ["gitea"] },
  "docker.n8n.io": { aliases: ["n8n"] },
  "hf.co": { aliases: ["hf"] },
  "icr.io": { aliases: ["icr"] },
  "registry.access.redhat.com": { aliases: ["ubi"] },
  "registry.redhat.io": { aliases: ["redhat"], login: "required" },
  "registry.suse.com": { aliases: ["suse"] },
  "xpkg.upbound.io": { aliases: ["upbound"] },
};

/** A repository as its upstream knows it: official images and models are in `library/`. */
export function repositoryOn({ name: upstream }: Pick<Upstream, "name">, name: string): string {
  return WITH_LIBRARY.includes(upstream) && !name.includes("/") ? `library/${name}` : name;
}

/** Upstreams whose names of one part are in `library/`. Ollama's client has no room for it in `mirror/registry-ollama-ai/model`. */
const WITH_LIBRARY = ["docker.io", "registry.ollama.ai"];
