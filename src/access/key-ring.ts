/** All access keys of a mirror: those of its configuration, and those that its owner has made since. */
import { type AccessKey, findHash, hashKey, isKey, KEY } from "./keys.ts";
import type { MoreKeys } from "./stored-keys.ts";

/** The latter are read only for what isn't among the former, so that a client with a configured key never waits for them. */
export class KeyRing {
  #configured: readonly AccessKey[];
  readonly #more: MoreKeys;
  readonly #now: () => number;

  constructor(configured: readonly AccessKey[], more: MoreKeys, now: () => number) {
    this.#configured = configured;
    this.#more = more;
    this.#now = now;
  }

  /** Replaces the keys of the configuration. */
  replace(configured: readonly AccessKey[]): void {
    this.#configured = configured;
  }

  /** The key that a client shows; null if it is none that is valid now. @throws RegistryError 503 */
  async find(shown: string): Promise<AccessKey | null> {
    return KEY.test(shown) ? this.findHash(await hashKey(shown)) : null;
  }

  /** As `find`, by the key's hash. @throws RegistryError 503 */
  async findHash(hash: string): Promise<AccessKey | null> {
    const now = this.#now();
    return findHash(this.#configured, hash, now) ?? findHash(await this.#more.list(), hash, now);
  }

  /** Whether a text is one of the keys, valid or no longer. @throws RegistryError 503 */
  async has(text: string): Promise<boolean> {
    if (!KEY.test(text)) return false;
    return (await isKey(this.#configured, text)) || isKey(await this.#more.list(), text);
  }

  /** @throws RegistryError 503 */
  async isEmpty(): Promise<boolean> {
    return this.#configured.length === 0 && (await this.#more.list()).length === 0;
  }
}
