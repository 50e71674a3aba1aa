// Link fields: how registries page through tags and referrers.

import { emptyParameters, quote, readParameter, readQuoted, skipSpace } from "./fields.ts";

export interface Link {
  /** As written between the angle brackets: a URL, often relative to the one that was asked. */
  target: string;
  /** Lower-case; empty when the link has no `rel`. */
  relations: string[];
  /** Every parameter, `rel` among them; keys are lower-case, and of a repeated one the first counts. */
  parameters: Record<string, string>;
}

/**
 * Reads a Link field: any number of links, from one line or from several joined by commas. Never throws: what isn't a
 * link is passed over.
 * Source: RFC 8288 §3, appendix B.2 and B.3.
 */
export function parseLinks(header: string | null): Link[] {
  if (header === null) return [];
  const links: Link[] = [];
  let at = 0;
  while (at < header.length) {
    if (header[at] !== "<") {
      at = header[at] === '"' ? readQuoted(header, at).end : at + 1;
      continue;
    }
    const close = header.indexOf(">", at);
    if (close === -1) break;
    const target = header.slice(at + 1, close).trim();
    const parameters = emptyParameters();
    at = skipSpace(header, close + 1);
    while (header[at] === ";") {
      at = skipSpace(header, at + 1);
      const parameter = readParameter(header, at);
      if (parameter === null) continue;
      parameters[parameter.name] ??= parameter.value ?? "";
      at = skipSpace(header, parameter.end);
    }
    const relations = (parameters.rel ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    links.push({ target, relations, parameters });
  }
  return links;
}

/**
 * Writes a link. Whatever in `target` would end it early, or can't stand in a header, is percent-encoded.
 * Source: RFC 8288 §3.
 */
export function formatLink(target: string, relation: string): string {
  const written = target.toWellFormed().replace(/[^\x21-\x7e]|[<>]/gu, encodeURIComponent);
  return `<${written}>; rel=${quote(relation)}`;
}
