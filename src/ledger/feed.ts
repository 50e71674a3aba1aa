/** What moved, for feed readers: as Atom (RFC 4287) and as JSON Feed 1.1. */
import { html } from "hono/html";
import type { TagMove } from "../store/tag-history.ts";

export const ATOM_TYPE = "application/atom+xml; charset=utf-8";
export const JSON_FEED_TYPE = "application/feed+json; charset=utf-8";
const TITLE = "Tags that moved";

interface Item {
  id: string;
  title: string;
  text: string;
  /** ISO 8601. */
  date: string;
}

/** @param url of the feed itself. @param now milliseconds since the epoch. */
export async function atomFeed(moves: readonly TagMove[], url: string, now: number): Promise<string> {
  const updated = new Date(moves[0]?.at ?? now).toISOString();
  const entries = moves.map((move) => {
    const { id, title, text, date } = itemOf(move, url);
    return html`<entry><id>${id}</id><title>${title}</title><updated>${date}</updated><content>${text}</content></entry>
`;
  });
  const feed = html`<feed xmlns="http://www.w3.org/2005/Atom"><id>${url}</id><title>${TITLE}</title><updated>${updated}</updated><author><name>Portolan</name></author><link rel="self" href="${url}"/>
${entries}</feed>
`;
  return `<?xml version="1.0" encoding="utf-8"?>\n${await feed}`;
}

/** @param url of the feed itself. */
export function jsonFeed(moves: readonly TagMove[], url: string): object {
  const items = moves.map((move) => {
    const { id, title, text, date } = itemOf(move, url);
    return { id, title, content_text: text, date_published: date };
  });
  return { version: "https://jsonfeed.org/version/1.1", title: TITLE, feed_url: url, items };
}

function itemOf({ id, upstream, repository, tag, at, digest, before }: TagMove, url: string): Item {
  const image = `${upstream}/${repository}:${tag}`;
  const title =
    digest === null ? `${image} was deleted` : before === null ? `${image} is back` : `${image} moved`;
  const text = `${image} names ${digest ?? "nothing"}, and named ${before ?? "nothing"} before.`;
  return { id: `${url}#${id}`, title, text, date: new Date(at).toISOString() };
}
