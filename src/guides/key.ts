/** An access key as guides write it into clients' configuration. Apart from the rest, since the page's script does the same. */

/** The user name that goes with an access key; a mirror takes any. */
export const USER = "portolan";

/** A mirror's access key: 160 bits in the letters of base32 (RFC 4648), in lower case. */
export function isKey(text: string): boolean {
  return /^[a-z2-7]{32}$/.test(text);
}

/** The value of an Authorization header that carries the key (RFC 7617). */
export function basicAuthorization(key: string): string {
  return `Basic ${basicCredentials(key)}`;
}

/** User and key as Docker's configuration files hold them. */
export function basicCredentials(key: string): string {
  return btoa(`${USER}:${key}`);
}
