/** The web pages of registries, read as the images that they are about. */

/** @returns the image's reference as text; null for a page that is about none. */
export function referenceOfPage(text: string): string | null {
  const [, name] = /^(?:docker|oci):\/\/(.+)$/i.exec(text) ?? [];
  if (name !== undefined) return name;
  const url = /^https?:\/\//i.test(text) ? URL.parse(text) : null;
  if (!url) return null;
  const path = decoded(url.pathname).split("/").filter(Boolean);
  const page = PAGES[url.hostname];
  if (page) return page(path, url);
  return path.length > 0 ? `${url.host}/${path.join("/")}` : null;
}

type Page = (path: string[], url: URL) => string | null;

const PAGES: Readonly<Record<string, Page>> = {
  "hub.docker.com": hub,
  "www.docker.com": () => null,
  "quay.io": ([first, ...rest], url) => {
    const name = first === "repository" ? rest : [first, ...rest];
    return withTag(named("quay.io", name.slice(0, 2), 2), url.searchParams.get("tag"));
  },
  "github.com": gitHub,
  "gallery.ecr.aws": (path) => named("public.ecr.aws", path, 2),
  "mcr.microsoft.com": microsoft,
  "catalog.ngc.nvidia.com": nvidia,
};

/** `/_/nginx`, `/r/bitnami/redis/tags`, `/layers/library/nginx/1.27/…`, `/repository/docker/owner/image`. */
function hub([kind, ...rest]: string[], url: URL): string | null {
  const tag = url.searchParams.get("name");
  if (kind === "_") return withTag(named("docker.io", ["library", ...rest.slice(0, 1)], 2), tag);
  if (kind === "r") return withTag(named("docker.io", rest.slice(0, 2), 2), tag);
  if (kind === "layers") return withTag(named("docker.io", rest.slice(0, 2), 2), rest[2] ?? null);
  if (kind === "repository" && rest[0] === "docker") return named("docker.io", rest.slice(1, 3), 2);
  return null;
}

/** `/OWNER/REPOSITORY/pkgs/container/NAME`, `/orgs/OWNER/packages/container/package/NAME`, and the same of users. */
function gitHub(path: string[], url: URL): string | null {
  const container = path.indexOf("container");
  if (container < 2) return null;
  const owner = path[0] === "orgs" || path[0] === "users" ? path[1] : path[0];
  const rest = path.slice(container + 1).filter((part, at) => at > 0 || part !== "package");
  const name = rest.filter((part) => !/^\d{6,}$/.test(part));
  return withTag(
    named("ghcr.io", [owner?.toLowerCase() ?? "", ...name.map((part) => part.toLowerCase())], 2),
    url.searchParams.get("tag"),
  );
}

/** `/en-us/artifact/mar/dotnet/sdk/about`, `/product/dotnet/sdk/tags`, or the registry's own `/dotnet/sdk`. */
function microsoft(path: string[]): string | null {
  const at = path.findIndex((part) => part === "product" || part === "mar");
  const name = at === -1 ? path : path.slice(at + 1).filter((part) => !/^(about|tags)$/.test(part));
  return named("mcr.microsoft.com", name, 1);
}

/** `/orgs/nvidia/teams/k8s/containers/dcgm-exporter`. */
function nvidia(path: string[]): string | null {
  const name = path.filter((part) => !/^(orgs|teams|containers|tags|layers)$/.test(part));
  return path.includes("containers") ? named("nvcr.io", name, 2) : null;
}

function named(registry: string, parts: (string | undefined)[], atLeast: number): string | null {
  const given = parts.filter((part) => part !== undefined && part !== "");
  return given.length >= atLeast ? `${registry}/${given.join("/")}` : null;
}

function withTag(name: string | null, tag: string | null): string | null {
  return name !== null && tag !== null && tag !== "" ? `${name}:${tag}` : name;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
