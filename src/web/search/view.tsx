/** What a search has found, or why it hasn't. */
import type { FC } from "hono/jsx";
import { timeText } from "../format.ts";
import { extractImages } from "../references/extract.ts";
import { formatReference } from "../references/reference.ts";
import type { Visit } from "../site.ts";
import type { Search } from "./hub-search.ts";

interface SearchViewProps {
  visit: Visit;
  typed: string;
  found: Search;
}

export const SearchView: FC<SearchViewProps> = ({ visit: { texts }, typed, found }) => {
  const { search } = texts;
  // What names an image exactly needs no search.
  const exact = extractImages(typed).images[0]?.reference ?? null;
  return (
    <section class="block" aria-labelledby="search-heading">
      <div class="about">
        <h1 id="search-heading">{search.heading}</h1>
        <p>{search.lead}</p>
      </div>
      <div class="work">
        <form action="/_/search" method="get">
          <label for="q">{search.label}</label>
          <span class="pick">
            <input
              id="q"
              name="q"
              type="search"
              value={typed}
              maxlength={100}
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
            />
            <button type="submit">{search.submit}</button>
          </span>
        </form>
        {found.problem !== null && (
          <p class="problem" role="status">
            {search.problem[found.problem]} {found.found !== null && search.asOf(timeText(found.found))}
          </p>
        )}
        {exact && (
          <p>
            {search.exact} <a href={`/_/image/${formatReference(exact)}`}>{formatReference(exact)}</a>
          </p>
        )}
        {found.query !== "" && found.problem === null && (
          <p class="count" role="status">
            {search.count(found.repositories.length)}
          </p>
        )}
        <ul class="found">
          {found.repositories.map(({ name, description, stars, isOfficial }) => (
            <li>
              <p class="hit">
                <a
                  href={`/_/image/docker.io/${isOfficial && !name.includes("/") ? `library/${name}` : name}`}
                >
                  {name}
                </a>
                {isOfficial && <span class="good">{search.official}</span>}
                <span class="note">★ {stars.toLocaleString("en")}</span>
              </p>
              {description !== "" && <p class="note">{description}</p>}
            </li>
          ))}
        </ul>
      </div>
    </section>
  );
};
