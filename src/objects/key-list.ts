/** The list of access keys in the ledger's object, and its copy in KV, from which isolates read it. */
import { type WrittenKey, writtenKeys } from "../access/key-list.ts";
import { KEY_LIST } from "../access/stored-keys.ts";
import type { KeyList } from "../ledger/managed-keys.ts";
import { parseJson } from "../oci/json.ts";

const STORED = "access-keys";

export class StoredKeyList {
  readonly #storage: DurableObjectStorage;
  readonly #kv: Pick<KVNamespace, "get" | "put">;
  /** The last change. Writing KV takes a while, in which the object goes on with other requests. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(storage: DurableObjectStorage, kv: Pick<KVNamespace, "get" | "put">) {
    this.#storage = storage;
    this.#kv = kv;
  }

  /**
   * The object's list. An object without one is new, or was lost or reset: then the keys in KV are valid all the same, and the
   * next change starts from them.
   * @throws if KV has to be read and can't be.
   */
  async read(): Promise<KeyList> {
    const stored = await this.#storage.get<KeyList>(STORED);
    if (stored) return stored;
    const text = await this.#kv.get(KEY_LIST);
    // A damaged list opens nothing.
    return { version: 0, keys: (text !== null && parseJson(writtenKeys, text)) || [] };
  }

  /** KV comes first: a change that it doesn't take isn't made. */
  replace(keys: readonly WrittenKey[], version: number): Promise<boolean> {
    const change = this.#changing.then(async () => {
      if ((await this.read()).version !== version) return false;
      await this.#kv.put(KEY_LIST, JSON.stringify(keys));
      await this.#storage.put<KeyList>(STORED, { version: version + 1, keys: [...keys] });
      return true;
    });
    this.#changing = change.catch(() => {});
    return change;
  }
}
