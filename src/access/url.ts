/**
 * Keys in the URL, for clients that can't carry one elsewhere: dockerd's `registry-mirrors` has room for a host and, from
 * 24.0.8, for a path.
 */
import { KEY } from "./keys.ts";

export interface KeyedUrl {
  /** Without the key; what is behind this file never sees one in a URL. */
  url: URL;
  key: string | null;
  /** What stood before the path, for links that the same client is to follow: `/<key>` or nothing. */
  prefix: string;
}

const LABEL = /^(.+)-([a-z2-7]{32})$/;
/** One that is no part of a longer word; what comes before it may be the end of an escape such as %2f. */
const KEY_IN_QUERY = /(?<=[^a-z0-9]|%[0-9a-fA-F]{2})[a-z2-7]{32}(?![a-z0-9])/g;
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

/**
 * A path with its query that is fit for a log: what could be a key is left out. Clients repeat the host that they were given,
 * with the key in its label, as the `service` of token requests.
 */
export function withoutKey(path: string): string {
  const query = path.indexOf("?");
  const [before, after] = query === -1 ? [path, ""] : [path.slice(0, query), path.slice(query)];
  const first = before.slice(1).split("/", 1)[0] ?? "";
  const shown = KEY.test(first) ? `/<key>${before.slice(1 + first.length)}` : before;
  return shown + after.replaceAll(KEY_IN_QUERY, "<key>");
}
