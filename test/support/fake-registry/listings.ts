/** Listings: tags and referrers, page by page. */
import { ociError } from "./answers.ts";
import type { Content } from "./content.ts";
import { OCI_INDEX } from "./media-types.ts";
import { isDigest } from "./objects.ts";
import type { RegistrySettings } from "./settings.ts";

export class Listings {
  readonly #settings: RegistrySettings;
  readonly #content: Content;

  constructor(settings: RegistrySettings, content: Content) {
    this.#settings = settings;
    this.#content = content;
  }

  tags(url: string, name: string): Response {
    if (!this.#content.has(name))
      return ociError(404, "NAME_UNKNOWN", "repository name not known to registry");
    const query = new URL(url).searchParams;
    const asked = query.get("n");
    if (asked !== null && !/^\d+$/.test(asked)) {
      return ociError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested");
    }
    const size = Math.min(
      asked === null ? Number.POSITIVE_INFINITY : Number(asked),
      this.#settings.tagsPageSize,
    );
    const after = query.get("last") ?? "";
    const rest = this.#content.tags(name).filter((tag) => tag > after);
    const page = rest.slice(0, size);
    const last = page.at(-1);
    const hasMore = last !== undefined && rest.length > page.length;
    const link = hasMore ? this.#link(`/v2/${name}/tags/list`, { n: String(size), last }) : {};
    return json({ name, tags: page }, "application/json", link);
  }

  referrers(url: string, name: string, digest: string): Response {
    const { referrers, referrersPageSize } = this.#settings;
    if (referrers === "off") return new Response("404 page not found\n", { status: 404 });
    if (!isDigest(digest)) return ociError(400, "DIGEST_INVALID", "provided digest did not match");
    const query = new URL(url).searchParams;
    const artifactType = query.get("artifactType");
    const isFiltered = referrers === "filter" && artifactType !== null;
    const all = this.#content.referrers(name, digest);
    const matching = isFiltered ? all.filter((descriptor) => descriptor.artifactType === artifactType) : all;
    const start = Number(query.get("page") ?? "0");
    const end = start + referrersPageSize;
    const filter = artifactType === null ? {} : { artifactType };
    const path = `/v2/${name}/referrers/${digest}`;
    const link = end < matching.length ? this.#link(path, { ...filter, page: String(end) }) : {};
    return json(
      { schemaVersion: 2, mediaType: OCI_INDEX, manifests: matching.slice(start, end) },
      OCI_INDEX,
      {
        ...link,
        ...(isFiltered ? { "oci-filters-applied": "artifactType" } : {}),
      },
    );
  }

  #link(path: string, query: Record<string, string>): Record<string, string> {
    const { absoluteLinks, scheme, registryHost } = this.#settings;
    const origin = absoluteLinks ? `${scheme}://${registryHost}` : "";
    return { link: `<${origin}${path}?${new URLSearchParams(query)}>; rel="next"` };
  }
}

function json(value: unknown, contentType: string, headers: Record<string, string>): Response {
  const body = new TextEncoder().encode(JSON.stringify(value));
  return new Response(body, {
    headers: { "content-type": contentType, "content-length": String(body.byteLength), ...headers },
  });
}
