/** A repository's tags. */
import { RegistryError } from "../oci/errors.ts";
import { isTag } from "../oci/names.ts";
import { MalformedTagList, TagListReader } from "../oci/tag-list.ts";
import { TooLarge } from "../registry/bounded-read.ts";
import { UpstreamError } from "../registry/failure.ts";
import { CURSOR, type ListingServices, nextQuery, requestListing, serveListing } from "./listing.ts";
import type { PullRequest } from "./request.ts";
import type { Target } from "./target.ts";

/** Bytes of the largest list that is read. */
const MAXIMUM_LIST = 64 * 1024 * 1024;
/** The most tags in one response: what an upstream sends beyond them is on the next page. */
const MAXIMUM_PAGE = 100_000;

/**
 * Answers a repository's tags, in order and paged as requested (distribution spec, "Listing Tags"), also where upstream does
 * neither. Upstream pages in its own order and by its own cursor, which need not be a tag: our Link carries the query of
 * upstream's Link as it is.
 * @throws RegistryError
 */
export async function pullTags(services: ListingServices, pull: PullRequest): Promise<Response> {
  const size = pageSize(pull.search);
  const cursor = pull.search.get(CURSOR);
  const last = pull.search.get("last");
  const query = new URLSearchParams(cursor ?? specsQuery(size, last));
  return serveListing(services, pull, "tags/list", async () => {
    const accept = "application/json";
    const response = await requestListing(services, pull, {
      path: "tags/list",
      search: query,
      accept,
    });
    const limit = Math.min(size ?? MAXIMUM_PAGE, MAXIMUM_PAGE);
    const read = await readTags(response, last, limit);
    // Behind a cursor, `last` is a place on the page of upstream's. Otherwise upstream has honoured it if it isn't on the page.
    const { tags, hasMore } = cursor !== null || read.hasLast ? read.rest : read.all;
    const listing = { name: nameOf(pull.target), tags };
    if (size === 0) return { listing, next: null };
    if (hasMore)
      return { listing, next: withSize({ [CURSOR]: String(query), last: tags.at(-1) ?? "" }, size) };
    const upstreams = nextQuery(response);
    if (upstreams === null || String(upstreams) === String(query)) return { listing, next: null };
    const isSpecs =
      [...upstreams.keys()].every((key) => key === "n" || key === "last") &&
      upstreams.get("last") === read.end &&
      read.end === read.all.tags.at(-1);
    return { listing, next: isSpecs ? upstreams : withSize({ [CURSOR]: String(upstreams) }, size) };
  });
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

function specsQuery(size: number | null, last: string | null): URLSearchParams {
  const query = new URLSearchParams();
  if (size !== null) query.set("n", String(Math.max(1, size)));
  if (last !== null) query.set("last", last);
  return query;
}

function withSize(query: Record<string, string>, size: number | null): URLSearchParams {
  return new URLSearchParams(size === null ? query : { n: String(size), ...query });
}

interface ReadTags {
  /** The first tags of the page, in order. */
  all: { tags: string[]; hasMore: boolean };
  /** Likewise of those behind `last`. */
  rest: { tags: string[]; hasMore: boolean };
  /** Whether `last` itself is on the page. */
  hasLast: boolean;
  /** The page's last tag in upstream's order. */
  end: string | null;
}

/** @throws UpstreamError for what is no list, or larger than any is read. */
async function readTags(response: Response, last: string | null, limit: number): Promise<ReadTags> {
  const [all, rest] = [new First(limit), new First(limit)];
  let hasLast = false;
  let end: string | null = null;
  const reader = new TagListReader((tag) => {
    if (!isTag(tag)) return;
    end = tag;
    hasLast ||= tag === last;
    all.add(tag);
    if (last === null || tag > last) rest.add(tag);
  });
  try {
    let length = 0;
    for await (const chunk of response.body ?? []) {
      length += chunk.byteLength;
      if (length > MAXIMUM_LIST) throw new TooLarge(`a list of tags has more than ${MAXIMUM_LIST} bytes`);
      reader.write(chunk);
    }
    reader.end();
  } catch (error) {
    if (error instanceof UpstreamError) throw error;
    const what =
      error instanceof MalformedTagList ? "sent no usable list of tags" : "broke off in a list of tags";
    throw new UpstreamError("unavailable", `upstream ${what}`);
  }
  return { all: all.page(), rest: rest.page(), hasLast, end };
}

/** The first so many tags in lexical order of any number that come in any. */
class First {
  readonly #limit: number;
  #tags: string[] = [];
  #hasMore = false;

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(tag: string): void {
    this.#tags.push(tag);
    if (this.#tags.length > 2 * this.#limit + 1000) this.#trim();
  }

  page(): { tags: string[]; hasMore: boolean } {
    this.#trim();
    return { tags: this.#tags, hasMore: this.#hasMore };
  }

  #trim(): void {
    this.#tags.sort();
    this.#hasMore ||= this.#tags.length > this.#limit;
    this.#tags = this.#tags.slice(0, this.#limit);
  }
}

/** The repository by the name under which this client requested it. */
function nameOf({ path }: Target): string {
  return path.replace(/^.*?\/v2\//, "");
}
