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
    const requested = query.get("n");
    if (requested !== null && !/^\d+$/.test(requested)) {
      return ociError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested");
    }
    const size = Math.min(
      requested === null ? Number.POSITIVE_INFINITY : Number(requested),
      this.#settings.tagsPageSize,
    );
    const tags = this.#content.tags(name);
    if (this.#settings.tagsOrder === "lexical") tags.sort();
    if (this.#settings.ignoresPaging) return json({ name, tags }, "application/json", {});
    const start = this.#startOf(tags, query.get("last"));
    const page = tags.slice(start, start + size);
    const end = start + page.length;
    const hasMore = page.length > 0 && end < tags.length;
    const last = this.#cursorAt(tags, end);
    const link = hasMore ? this.#link(`/v2/${name}/tags/list`, { n: String(size), last }) : {};
    return json({ name, tags: page }, "application/json", link);
  }

  #startOf(tags: readonly string[], last: string | null): number {
    if (last === null) return 0;
    if (this.#settings.tagsCursor === "number") return Number(last);
    if (this.#settings.tagsCursor === "token") return Number(atob(last));
    if (this.#settings.tagsOrder === "pushed") return tags.indexOf(last) + 1;
    return tags.filter((tag) => tag <= last).length;
  }

  #cursorAt(tags: readonly string[], end: number): string {
    if (this.#settings.tagsCursor === "number") return String(end);
    if (this.#settings.tagsCursor === "token") return btoa(String(end));
    return tags[end - 1] ?? "";
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
