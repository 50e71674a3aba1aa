/** Search: the page `/_/search`, and `/v1/search`, which `docker search` requests. */
import { type Context, Hono } from "hono";
import { RegistryError } from "../../oci/errors.ts";
import type { PageKit } from "../page-kit.tsx";
import { signInPath } from "../session-page.tsx";
import { detectLanguage, visitOf } from "../site.ts";
import type { HubSearch, Search } from "./hub-search.ts";
import { SearchView } from "./view.tsx";

export interface SearchServices {
  search: HubSearch;
  /** Makes sure that a client, or a page's visitor, may pull here. @throws RegistryError */
  admit: (c: Context) => Promise<void>;
}

/** Results that a page and a client get at most. */
const MOST = 50;

export function searchRoutes({ search, admit }: SearchServices, { config, page, respond }: PageKit): Hono {
  const routes = new Hono();

  routes.get("/_/search", detectLanguage, page, async (c) => {
    const visit = visitOf(c, config);
    const query = c.req.query("q") ?? "";
    try {
      if (query !== "") await admit(c);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.status !== 401) throw error;
      return c.redirect(signInPath(visit.path), 303);
    }
    const found = await search.search(query, c.req.header("Via") ?? null);
    const view = <SearchView visit={visit} typed={query} found={found} />;
    return respond(c, visit, view, { title: visit.texts.search.heading, current: "search" });
  });

  routes.get("/v1/search", async (c) => {
    await admit(c);
    const found = await search.search(c.req.query("q") ?? "", c.req.header("Via") ?? null);
    if (found.problem !== null && found.found === null) throw unavailable(found.problem);
    const count = Math.min(MOST, Math.max(1, Number(c.req.query("n")) || 25));
    return c.json(dockerResponse(found, count), 200, { "Cache-Control": "no-store" });
  });
  return routes;
}

function unavailable(problem: NonNullable<Search["problem"]>): RegistryError {
  if (problem === "limited") {
    const message =
      "Docker Hub limits this mirror's searches; pull by the exact name, or try again in a minute";
    return new RegistryError(429, "TOOMANYREQUESTS", message, { "Retry-After": "60" });
  }
  return new RegistryError(
    503,
    "UNAVAILABLE",
    "Docker Hub's search can't be reached; pull by the exact name",
  );
}

/** In the form of Docker's registry API, version 1. */
function dockerResponse({ query, repositories }: Search, count: number) {
  const results = repositories.slice(0, count).map(({ name, description, stars, isOfficial }) => ({
    name,
    description,
    star_count: stars,
    is_official: isOfficial,
    is_automated: false,
  }));
  return { num_pages: 1, num_results: results.length, page: 1, page_size: count, query, results };
}
