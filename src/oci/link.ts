/** Link fields (RFC 8288): how registries page through tags and referrers. */
import Link from "http-link-header";
import { quote } from "./fields.ts";

/** Characters of the longest field that is read. The parser's time grows faster than a field's length, and no page's URL comes near it. */
const LONGEST = 8 * 1024;

/**
 * The target of a field's first `rel="next"`: a URL, often relative to the one that was requested.
 * @returns null where there is none, and for a malformed field.
 */
export function nextTarget(header: string | null): string | null {
  if (header === null || header.length > LONGEST) return null;
  try {
    return Link.parse(header).rel("next")[0]?.uri ?? null;
  } catch {
    return null;
  }
}

/**
 * Writes a link. Characters of `target` that would end it early, or that a header can't carry, are percent-encoded.
 * Source: RFC 8288 §3.
 */
export function formatLink(target: string, relation: string): string {
  const written = target.toWellFormed().replace(/[^\x21-\x7e]|[<>]/gu, encodeURIComponent);
  return `<${written}>; rel=${quote(relation)}`;
}
