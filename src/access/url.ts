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
/** A letter or digit that was escaped, once or several times over, although it stands for itself (RFC 3986 §2.3). */
const ESCAPED = /%(?:25)*((?:3[0-9]|[46][1-9a-f]|[57][0-9a]))/gi;
/**
 * What could hold a key, alone or glued to other text: a run of its letters, long enough. In either case: what a client has
 * put in the wrong one is a key all the same.
 */
const RUN = /[a-z2-7]{32,}/gi;
/** Such a run; or what only looks like one, or like its beginning: a digest, and an escape before it. */
const RUN_OR_LIKE =
  /sha(?:256|512)(?::|%3a)[0-9a-f]{64,128}(?![0-9a-z])|%[0-9a-f]{2}(?=[a-z2-7]{32})|[a-z2-7]{32,}/gi;
const KEY_LENGTH = 32;
/** Possible keys in a URL that are looked at: many times what a name, a tag and a digest have, and still little work. */
const MAXIMUM_CANDIDATES = 512;
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

/** All that could be a key in a path or a query, in lower case; null where that is too much to look at. */
export function keysIn(text: string): string[] | null {
  const runs = unescaped(text).toLowerCase().match(RUN) ?? [];
  const places = runs.map((run) => run.length - KEY_LENGTH + 1);
  if (places.reduce((sum, count) => sum + count, 0) > MAXIMUM_CANDIDATES) return null;
  return runs.flatMap((run, at) =>
    Array.from({ length: places[at] ?? 0 }, (_, start) => run.slice(start, start + KEY_LENGTH)),
  );
}

/** A path and a query that are fit for a log: what could hold a key is left out, also where none belongs. */
export function withoutKey(path: string): string {
  return unescaped(path).replace(RUN_OR_LIKE, (found) => (/[:%]/.test(found) ? found : "<key>"));
}

function unescaped(text: string): string {
  return text.replace(ESCAPED, (_, code) => String.fromCharCode(Number.parseInt(code, 16)));
}
