/** A mirror's URL, as users write it on the command line and in lists. */

/** @returns the URL without slashes at its end; null for one of another scheme, with a login, a query or a fragment. */
export function normalMirrorUrl(text: string): string | null {
  const url = URL.parse(text);
  const isPlain = url !== null && `${url.username}${url.password}${url.search}${url.hash}` === "";
  return isPlain && /^https?:$/.test(url.protocol) ? text.trim().replace(/\/+$/, "") : null;
}
