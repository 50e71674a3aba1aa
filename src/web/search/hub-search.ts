/** Searches Docker Hub, by the API that `docker search` uses, and remembers what was found for hours. */

import * as v from "valibot";
import { Buckets } from "../../access/limits.ts";
import { isRepository } from "../../oci/names.ts";
import { boundedMap } from "../../registry/bounded-map.ts";
import { readBounded } from "../../registry/bounded-read.ts";
import { type Relay, relaysFor } from "../../upstream/relays.ts";

export interface FoundRepository {
  /** `nginx`, `bitnami/redis`. */
  name: string;
  description: string;
  stars: number;
  isOfficial: boolean;
}

/** What is known of a search: when it was found, and why there is nothing newer, if there should be. */
export interface Search {
  query: string;
  repositories: FoundRepository[];
  /** Milliseconds since the epoch; null where nothing was ever found. */
  found: number | null;
  /** `limited`: Docker Hub limits this mirror's requests, or the mirror its visitors'; `failed`: it can't be reached. */
  problem: "limited" | "failed" | null;
}

export interface HubSearchOptions {
  fetch: typeof fetch;
  relays: readonly Relay[];
  /** This mirror's own Via. */
  via: string;
  /** Shared by the isolates of a location; null where there is no such cache. */
  openEdge: () => Promise<Cache | null>;
  /** Milliseconds since the epoch. */
  now: () => number;
}

const HUB = "https://index.docker.io/v1/search";
/** Repositories that are requested, whatever a client wants: a page for all. */
const MOST = 50;
/** Milliseconds for which a search isn't repeated. */
const FRESH = 6 * 3600_000;
/** Milliseconds for which it is shown if Docker Hub fails. */
const STALE = 7 * 24 * 3600_000;
/** Milliseconds for which nothing is requested after a failure, or as long as a limit says, but no longer than `LONGEST`. */
const PAUSE = 30_000;
const LONGEST = 3600_000;
/** Searches a minute that this isolate sends. */
const RATE = 60;
const TIME_OUT = 10_000;
const LARGEST = 512 * 1024;
const LONGEST_QUERY = 100;

/** What the API responds, and what a relay does. */
const Results = v.object({
  results: v.array(
    v.object({
      name: v.string(),
      description: v.optional(v.nullable(v.string()), ""),
      star_count: v.optional(v.number(), 0),
      is_official: v.optional(v.boolean(), false),
    }),
  ),
});

export class HubSearch {
  readonly #options: HubSearchOptions;
  readonly #known = boundedMap<string, { repositories: FoundRepository[]; found: number }>(500);
  readonly #running = new Map<string, Promise<FoundRepository[]>>();
  readonly #buckets: Buckets;
  #pausedUntil = 0;
  #problem: "limited" | "failed" = "failed";

  constructor(options: HubSearchOptions) {
    this.#options = options;
    this.#buckets = new Buckets(options.now);
  }

  /** @param via the Via of the visitor's request. */
  async search(text: string, via: string | null): Promise<Search> {
    const query = normalized(text);
    if (query === "") return { query, repositories: [], found: null, problem: null };
    const known = await this.#find(query);
    const age = known === null ? Number.POSITIVE_INFINITY : this.#options.now() - known.found;
    if (known && age < FRESH) return { query, ...known, problem: null };
    const problem = await this.#refresh(query, via);
    if (problem === null) return { query, repositories: [], found: null, ...this.#known.get(query), problem };
    return known && age < STALE
      ? { query, ...known, problem }
      : { query, repositories: [], found: null, problem };
  }

  async #refresh(query: string, via: string | null): Promise<Search["problem"]> {
    if (this.#options.now() < this.#pausedUntil) return this.#problem;
    let running = this.#running.get(query);
    if (!running) {
      if (this.#buckets.take("search", RATE) > 0) return "limited";
      running = this.#request(query, via).finally(() => this.#running.delete(query));
      this.#running.set(query, running);
    }
    try {
      await this.#remember(query, await running);
      return null;
    } catch (error) {
      if (error instanceof Refused) return "failed";
      const [problem, pause] =
        error instanceof Limited ? (["limited", error.pause] as const) : (["failed", PAUSE] as const);
      this.#problem = problem;
      this.#pausedUntil = this.#options.now() + pause;
      return problem;
    }
  }

  /** The first way that gives a result: relays that come first, Docker Hub itself, the other relays. */
  async #request(query: string, via: string | null): Promise<FoundRepository[]> {
    const relays = relaysFor(this.#options.relays, { name: "docker.io" }, "anonymous");
    const ways = [
      ...relays.filter(({ when }) => when === "always"),
      null,
      ...relays.filter(({ when }) => when === "limited"),
    ];
    let failure: unknown = new Error("no way");
    for (const relay of ways) {
      try {
        return await this.#requestBy(relay, query, via);
      } catch (error) {
        if (!(failure instanceof Limited || failure instanceof Refused)) failure = error;
      }
    }
    throw failure;
  }

  async #requestBy(relay: Relay | null, query: string, via: string | null): Promise<FoundRepository[]> {
    const url = new URL(relay ? new URL("/v1/search", relay.url) : HUB);
    url.search = new URLSearchParams({ q: query, n: String(MOST) }).toString();
    const headers = new Headers({ Accept: "application/json" });
    // Lets mirrors that are each other's relays notice it.
    if (relay) headers.set("Via", via === null ? this.#options.via : `${via}, ${this.#options.via}`);
    if (relay?.key) headers.set("Authorization", `Basic ${btoa(`portolan:${relay.key}`)}`);
    const response = await this.#options.fetch(url, {
      headers,
      redirect: "manual",
      signal: AbortSignal.timeout(TIME_OUT),
    });
    if (!response.ok) {
      await response.body?.cancel();
      if (response.status === 429) throw new Limited(response.headers.get("Retry-After"));
      throw QUERY_REFUSED.includes(response.status) ? new Refused() : new Error(String(response.status));
    }
    const bytes = await readBounded(response, LARGEST, "a search");
    const { results } = v.parse(Results, JSON.parse(new TextDecoder().decode(bytes)));
    return results
      .filter(({ name }) => isRepository(name))
      .slice(0, MOST)
      .map(({ name, description, star_count, is_official }) => ({
        name,
        description: printable(description ?? ""),
        stars: star_count,
        isOfficial: is_official,
      }));
  }

  async #find(query: string) {
    const known = this.#known.get(query);
    if (known) return known;
    const text = await this.#withEdge(async (edge) => (await edge.match(edgeUrl(query)))?.text());
    if (!text) return null;
    const found: { repositories: FoundRepository[]; found: number } = JSON.parse(text);
    this.#known.set(query, found);
    return found;
  }

  async #remember(query: string, repositories: FoundRepository[]): Promise<void> {
    const found = { repositories, found: this.#options.now() };
    this.#known.set(query, found);
    const headers = { "Cache-Control": `max-age=${STALE / 1000}` };
    await this.#withEdge((edge) =>
      edge.put(edgeUrl(query), new Response(JSON.stringify(found), { headers })),
    );
  }

  async #withEdge<Result>(use: (edge: Cache) => Promise<Result>): Promise<Result | null> {
    try {
      const edge = await this.#options.openEdge();
      return edge && (await use(edge));
    } catch (error) {
      console.warn(`the edge cache is out of order: ${error}`);
      return null;
    }
  }
}

/** Statuses that are about the query alone. */
const QUERY_REFUSED = [400, 404, 414, 422];

/** The query is refused: no reason to pause, or one visitor's query would keep all others from searching. */
class Refused extends Error {}

class Limited extends Error {
  /** Milliseconds. */
  readonly pause: number;
  constructor(retryAfter: string | null) {
    super("Docker Hub limits searches");
    this.pause = Math.min(LONGEST, Math.max(PAUSE, (Number(retryAfter) || 60) * 1000));
  }
}

/** Of the mirror's own cache, which no page of a zone shares. */
function edgeUrl(query: string): string {
  return `https://search.invalid/?${new URLSearchParams({ q: query })}`;
}

/** In lower case, as Docker Hub compares it, so that spellings share what was found. */
function normalized(text: string): string {
  return printable(text).trim().replace(/\s+/g, " ").toLowerCase().slice(0, LONGEST_QUERY).trim();
}

/** Without what a terminal would obey: `docker search` prints descriptions. */
function printable(text: string): string {
  return text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, " ");
}
