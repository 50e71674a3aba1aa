/** Access keys: what is known of each, and how the one that a client shows is found among them. */

export interface AccessKey {
  /** Says in listings and logs which one it is. */
  name: string;
  /** SHA-256 of the key, in lower-case hexadecimal. The key itself is nowhere kept. */
  hash: string;
  /** Patterns on `upstream/repository`; empty allows all. */
  allow: readonly string[];
  deny: readonly string[];
  /** Patterns on `hosted/repository` that it may push to; empty: none. */
  push: readonly string[];
  /** Patterns on `hosted/repository` that it may delete from; empty: none. */
  delete: readonly string[];
  /** Milliseconds since the epoch; null: never. */
  expires: number | null;
  /** Requests a minute; null: no limit of its own. */
  rate: number | null;
}

/**
 * 160 bits in base32, in lower case: as much as a host label, which knows no case and has 63 characters at most, can
 * carry beside an upstream's name.
 */
export const KEY = /^[a-z2-7]{32}$/;

const KEY_LENGTH = 32;
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** Makes a key that can't be guessed. */
export function generateKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_LENGTH));
  // 256 is a multiple of 32, so that every character is as likely as any other.
  return Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}

/** What is kept of a key: no salt, no slow hash, since 2^160 keys can't be tried. */
export async function hashKey(key: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The key with a hash, or null if it is none that is valid now. Each is compared, so that how long it takes says nothing of what
 * would have been right.
 */
export function findHash(keys: readonly AccessKey[], hash: string, now: number): AccessKey | null {
  const found = keyOfHash(keys, hash);
  return found && (found.expires === null || found.expires > now) ? found : null;
}

/** Whether a text is one of the keys, valid or no longer. */
export async function isKey(keys: readonly AccessKey[], text: string): Promise<boolean> {
  return KEY.test(text) && keyOfHash(keys, await hashKey(text)) !== null;
}

function keyOfHash(keys: readonly AccessKey[], hash: string): AccessKey | null {
  let found: AccessKey | null = null;
  for (const key of keys) if (isSame(key.hash, hash)) found = key;
  return found;
}

function isSame(one: string, other: string): boolean {
  let difference = one.length ^ other.length;
  for (let at = 0; at < one.length; at++) difference |= one.charCodeAt(at) ^ other.charCodeAt(at);
  return difference === 0;
}
