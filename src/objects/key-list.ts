/** The list of access keys in the ledger's object, and its copy in KV, from which isolates read it. */
import type { WrittenKey } from "../access/key-list.ts";
import { KEY_LIST } from "../access/stored-keys.ts";
import type { KeyList } from "../ledger/managed-keys.ts";

const STORED = "access-keys";

export class StoredKeyList {
  readonly #storage: DurableObjectStorage;
  readonly #kv: Pick<KVNamespace, "put">;
  /** The last change. Writing KV takes a while, in which the object goes on with other requests. */
  #changing: Promise<unknown> = Promise.resolve();

  constructor(storage: DurableObjectStorage, kv: Pick<KVNamespace, "put">) {
    this.#storage = storage;
    this.#kv = kv;
  }

  async read(): Promise<KeyList> {
    return (await this.#storage.get<KeyList>(STORED)) ?? { version: 0, keys: [] };
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
