/**
 * Keys in the URL, for clients that can't carry one elsewhere: dockerd's `registry-mirrors` has room for a host and, from
 * 24.0.8, for a path.
 */

export interface KeyedUrl {
  /** Without the key; what is behind this file never sees one in a URL. */
  url: URL;
  key: string | null;
  /** What stood before the path, for links that the same client is to follow: `/<key>` or nothing. */
  prefix: string;
}

const LABEL = /^(.+)-([a-z2-7]{32})$/;
/**
 * What could be a key, wherever it stands, behind an escape such as %2f too; no part of a longer word, as a digest is.
 * In either case: what a client has put in the wrong one is a key all the same.
 */
const KEY_LIKE = /(?<=^|[^a-z0-9]|%[0-9a-f]{2})[a-z2-7]{32}(?![a-z0-9])/gi;
const PATH = /^\/([a-z2-7]{32})(\/.*)$/s;

/** Takes the key out of `docker-<key>.<domain>` or `/<key>/docker.io/v2/…`; the host's counts where both have one. */
export function takeKey(given: URL, domain: string | null): KeyedUrl {
  const url = new URL(given);
  const label =
    domain !== null && url.hostname.endsWith(`.${domain}`) ? LABEL.exec(labelOf(url, domain)) : null;
  if (label) url.hostname = `${label[1]}.${domain}`;
  const path = PATH.exec(url.pathname);
  if (path?.[2] !== undefined) url.pathname = path[2];
  const prefix = path ? `/${path[1]}` : "";
  return { url, key: label?.[2] ?? path?.[1] ?? null, prefix };
}

function labelOf({ hostname }: URL, domain: string): string {
  return hostname.slice(0, -domain.length - 1);
}

/** All that could be a key in a path or a query. */
export function keysIn(text: string): string[] {
  return text.match(KEY_LIKE) ?? [];
}

/** A path and a query that are fit for a log: what could be a key is left out, also where none belongs. */
export function withoutKey(path: string): string {
  return path.replace(KEY_LIKE, "<key>");
}
