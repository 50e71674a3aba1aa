/** Access keys that the owner makes while the mirror is deployed: one list in KV, which every isolate reads for itself. */
import { RegistryError } from "../oci/errors.ts";
import { parseJson } from "../oci/json.ts";
import { readKey, type WrittenKey, writtenKeys } from "./key-list.ts";
import type { AccessKey } from "./keys.ts";

/** The list's key in KV, where no tag's record can be. */
export const KEY_LIST = "access/keys";
/** Seconds for which KV serves what a location has cached: its least. */
const CACHED = 30;
/** Milliseconds for which an isolate relies on what it has read. With CACHED, a key is revoked everywhere within a minute. */
const KNOWN = 25_000;
/** Milliseconds for which one request reads for all others, which go by the former list. It may be cancelled with its client. */
const READING = 2_000;
/** Milliseconds after which it reads again if reading failed. */
const RETRY = 5_000;
/** Milliseconds since the last reading for which its list counts while KV fails: a revoked key must not count for longer. */
const KEPT = 10 * 60_000;

/** What is used of KV. */
export interface KeyListSource {
  get(key: string, options: { cacheTtl: number }): Promise<string | null>;
}

/** Keys that are looked up beside those of the configuration. */
export interface MoreKeys {
  /** @throws RegistryError 503 if it can't be found out. */
  list(): Promise<readonly AccessKey[]>;
}

export const NO_MORE_KEYS: MoreKeys = { list: async () => [] };

export class StoredKeys implements MoreKeys {
  readonly #kv: KeyListSource;
  readonly #now: () => number;
  #known: { keys: readonly AccessKey[]; at: number } | null = null;
  #nextRead = 0;
  /** How often the list was changed through this isolate. */
  #changes = 0;

  constructor(kv: KeyListSource, now: () => number) {
    this.#kv = kv;
    this.#now = now;
  }

  async list(): Promise<readonly AccessKey[]> {
    if (this.#now() >= this.#nextRead) await this.#read();
    if (this.#known && this.#now() - this.#known.at < KEPT) return this.#known.keys;
    throw new RegistryError(503, "UNAVAILABLE", "the access keys can't be read at the moment; try again", {
      "Retry-After": String(RETRY / 1000),
    });
  }

  /** What was changed through this isolate counts here at once: KV may serve the former list for a while. */
  replace(list: readonly WrittenKey[]): void {
    this.#changes++;
    this.#keep(list);
  }

  #keep(list: readonly WrittenKey[]): void {
    const at = this.#now();
    this.#known = { keys: list.map(readKey), at };
    this.#nextRead = at + KNOWN;
  }

  async #read(): Promise<void> {
    const changes = this.#changes;
    if (this.#known) this.#nextRead = this.#now() + READING;
    try {
      const text = await this.#kv.get(KEY_LIST, { cacheTtl: CACHED });
      const list = text === null ? [] : parseJson(writtenKeys, text);
      if (list === null) throw new Error("they aren't a list of keys");
      if (this.#changes === changes) this.#keep(list);
    } catch (error) {
      console.warn(`the access keys can't be read: ${error}`);
      this.#nextRead = this.#now() + RETRY;
    }
  }
}
