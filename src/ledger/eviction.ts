/** Keeps the store under CACHE_LIMIT, by what the ledger knows of its content's use. */
import type { Digest } from "../oci/digest.ts";
import { type Eviction, evict } from "../store/eviction.ts";
import type { Store } from "../store/store.ts";
import type { UseLedger } from "./uses.ts";

export interface EvictionServices {
  store: Pick<Store, "list" | "delete">;
  readonly ledger: UseLedger;
}

/** Brings the store under a limit. A ledger that fails only makes the order worse. @param limit bytes. */
export async function keepLimit({ store, ledger }: EvictionServices, limit: number): Promise<Eviction> {
  return evict(store, limit, await lastUses(ledger));
}

async function lastUses(ledger: UseLedger): Promise<Map<Digest, number>> {
  try {
    return new Map((await ledger.uses()).map(({ digest, last }) => [digest, last]));
  } catch (error) {
    console.warn(`the ledger can't be read, so what was stored first is evicted first: ${error}`);
    return new Map();
  }
}
