/** Listings: a repository's tags, and what refers to a manifest. Asked of upstream every time, since they change. */
import { RegistryError } from "../errors.ts";
import { type Digest, referrersTag } from "../oci/digest.ts";
import { formatLink, parseLinks } from "../oci/link.ts";
import { OCI_INDEX } from "../oci/mediatypes.ts";
import { isTag } from "../oci/names.ts";
import type { Target } from "../routing/target.ts";
import { readBounded } from "../upstream/bounded.ts";
import { failureOf, UpstreamError } from "../upstream/failure.ts";
import { commonHeadings, type Headings, type Pull, REVALIDATE } from "./answer.ts";
import type { Mirror } from "./mirror.ts";
import { refusal } from "./refusal.ts";

/** Parameters by which registries page: the spec's `n` and `last`, and the cursors some put into their Link. */
const PAGING = ["n", "last", "next_page", "page", "page_size", "next", "token"];
/** Bytes of the largest listing that is read. */
const MAXIMUM_LISTING = 8 * 1024 * 1024;

/**
 * Answers a repository's tags, in order and paged as asked (distribution spec, "Listing Tags"), also where upstream does
 * neither.
 * @throws RegistryError
 */
export async function pullTags(mirror: Mirror, pull: Pull, target: Target): Promise<Response> {
  const size = pageSize(pull.search);
  const search = paging(pull.search);
  if (size === 0) search.set("n", "1");
  const response = await ask(mirror, pull, target, "tags/list", search);
  const { tags } = await readJson(response, pull);
  const last = pull.search.get("last");
  const listed = (Array.isArray(tags) ? tags : [])
    .filter((tag): tag is string => typeof tag === "string" && isTag(tag))
    .filter((tag) => last === null || tag > last)
    .sort();
  const page = size === null ? listed : listed.slice(0, size);
  const headings: Headings = { "Content-Type": "application/json" };
  const cursor = nextPage(response);
  const end = page.at(-1);
  if (size !== 0 && page.length < listed.length && end !== undefined) {
    headings.Link = nextLink(pull, target, "tags/list", new URLSearchParams({ n: String(size), last: end }));
  } else if (size !== 0 && cursor) {
    headings.Link = nextLink(pull, target, "tags/list", cursor);
  }
  return answer(pull, target, { name: nameOf(target), tags: page }, headings);
}

/**
 * Answers what refers to a manifest: an index, empty if nothing does (distribution spec, "Listing Referrers"). Where
 * upstream has no referrers API, the tag that stands in for it is read.
 * @throws RegistryError
 */
export async function pullReferrers(
  mirror: Mirror,
  pull: Pull,
  target: Target,
  digest: Digest,
): Promise<Response> {
  const artifactType = pull.search.get("artifactType");
  const search = paging(pull.search);
  if (artifactType !== null) search.set("artifactType", artifactType);
  const response =
    (await askIfThere(mirror, pull, target, `referrers/${digest}`, search)) ??
    (await askIfThere(mirror, pull, target, `manifests/${referrersTag(digest)}`, new URLSearchParams()));
  const { manifests } = response ? await readJson(response, pull) : { manifests: [] };
  const referrers = (Array.isArray(manifests) ? manifests : []).filter(
    (referrer) => artifactType === null || referrer?.artifactType === artifactType,
  );
  const headings: Headings = { "Content-Type": OCI_INDEX };
  if (artifactType !== null) headings["OCI-Filters-Applied"] = "artifactType";
  const cursor = response && nextPage(response);
  if (cursor && artifactType !== null) cursor.set("artifactType", artifactType);
  if (cursor) headings.Link = nextLink(pull, target, `referrers/${digest}`, cursor);
  return answer(pull, target, { schemaVersion: 2, mediaType: OCI_INDEX, manifests: referrers }, headings);
}

/** `n`, or null where it isn't given. */
function pageSize(search: URLSearchParams): number | null {
  const text = search.get("n");
  if (text === null) return null;
  if (!/^\d{1,9}$/.test(text)) {
    throw new RegistryError(400, "UNSUPPORTED", "n must be a whole number: how many tags to list");
  }
  return Number(text);
}

/** Of a query, what pages: nothing else of a client's query goes upstream. */
function paging(search: URLSearchParams): URLSearchParams {
  return new URLSearchParams([...search].filter(([name]) => PAGING.includes(name)));
}

/** What pages in upstream's own `rel="next"`: null where upstream has no more. */
function nextPage(response: Response): URLSearchParams | null {
  const link = parseLinks(response.headers.get("Link")).find(({ relations }) => relations.includes("next"));
  const next = link && URL.parse(link.target, "https://upstream.invalid/");
  const search = paging(next ? next.searchParams : new URLSearchParams());
  return search.size === 0 ? null : search;
}

/** A Link to the next page on this mirror, in the shape in which the client asked. */
function nextLink(pull: Pull, target: Target, path: string, search: URLSearchParams): string {
  if (target.namespace !== null) search.set("ns", target.namespace);
  return formatLink(`${pull.prefix}${target.path}/${path}?${search}`, "next");
}

async function ask(
  mirror: Mirror,
  pull: Pull,
  { upstream, repository }: Target,
  path: string,
  search: URLSearchParams,
): Promise<Response> {
  const accept = path.startsWith("tags/") ? "application/json" : OCI_INDEX;
  try {
    return await mirror.upstream.ask(
      { upstream, repository, authority: pull.authority, method: "GET", path, search, accept },
      pull.background,
    );
  } catch (error) {
    throw refusal(failureOf(error), "listing", pull.asker);
  }
}

/** As `ask`, but null for what upstream doesn't have. */
async function askIfThere(
  ...[mirror, pull, target, path, search]: Parameters<typeof ask>
): Promise<Response | null> {
  try {
    return await ask(mirror, pull, target, path, search);
  } catch (error) {
    if (error instanceof RegistryError && error.status === 404) return null;
    throw error;
  }
}

/** @throws RegistryError if it isn't a JSON object of bearable size. */
async function readJson(response: Response, pull: Pull): Promise<Record<string, unknown>> {
  try {
    const bytes = await readBounded(response, MAXIMUM_LISTING, "a listing");
    const json = parseObject(new TextDecoder().decode(bytes));
    if (!json) throw new UpstreamError("unavailable", "upstream sent no usable listing");
    return json;
  } catch (error) {
    throw refusal(failureOf(error), "listing", pull.asker);
  }
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** The repository by the name under which this client asked for it. */
function nameOf(target: Target): string {
  return target.path.replace(/^.*?\/v2\//, "");
}

function answer(pull: Pull, target: Target, listing: object, headings: Headings): Response {
  const body = new TextEncoder().encode(JSON.stringify(listing));
  const headers = {
    ...commonHeadings(target, { servedBy: "upstream", forward: "bypass", forwardStatus: 200 }),
    "Cache-Control": REVALIDATE,
    ...headings,
    "Content-Length": String(body.byteLength),
  };
  return new Response(pull.method === "GET" ? body : null, { headers });
}
