/** The access keys that the owner makes, narrows and revokes without a deploy. The ledger's object keeps them, and KV serves them. */
import {
  addKey,
  changeTerms,
  KeyProblem,
  type KeyTerms,
  revokeKey,
  rotateKey,
} from "../access/key-changes.ts";
import { readKey, type WrittenKey } from "../access/key-list.ts";
import type { AccessKey } from "../access/keys.ts";
import { RegistryError } from "../oci/errors.ts";
import { MakeRequest, parsed, RotateRequest, TermsRequest } from "./requests.ts";

/** The list, and how often it has been changed. */
export interface KeyList {
  version: number;
  keys: WrittenKey[];
}

/** The ledger's object. KV alone would lose a change that another location doesn't know of yet, and bring a revoked key back. */
export interface KeyLedger {
  accessKeys(): Promise<KeyList>;
  /** Replaces the list in the object and in KV, unless it is no longer of this version. @throws if KV can't be written. */
  replaceAccessKeys(keys: readonly WrittenKey[], version: number): Promise<boolean>;
}

/** What the owner sees of a key. */
export interface ListedKey {
  name: string;
  allow: readonly string[];
  deny: readonly string[];
  push: readonly string[];
  delete: readonly string[];
  /** ISO 8601. */
  expires: string | null;
  rate: number | null;
  /** `configured` in ACCESS_KEYS, where it can't be changed from here. */
  from: "configured" | "mirror";
}

export interface ManagedKeysOptions {
  ledger: () => KeyLedger;
  /** This isolate's copy of the list in KV. */
  stored: { replace(list: readonly WrittenKey[]): void; list(): Promise<readonly AccessKey[]> };
  /** The keys of the configuration, whose names are taken. */
  configured: readonly AccessKey[];
  access: "open" | "keys";
  now: () => number;
}

/** Characters of the whole list: each isolate reads it twice a minute. */
const LONGEST = 128 * 1024;
/** Changes that others make meanwhile, after which a request gives up. */
const ATTEMPTS = 5;

const BODY =
  "the body is a JSON object of name, allow, deny, push, delete (lists of patterns), expires (ISO 8601) and rate";

/** @throws RegistryError 400, 404 or 409 with what to do, 503 where nothing was changed. */
export class ManagedKeys {
  readonly #options: ManagedKeysOptions;

  constructor(options: ManagedKeysOptions) {
    this.#options = options;
  }

  /** All keys. While the ledger can't be read, those made here are listed as KV has them, which may be a minute old. */
  async list(): Promise<ListedKey[]> {
    const { ledger, stored, configured } = this.#options;
    const made = await ledger()
      .accessKeys()
      .then(({ keys }) => keys.map(readKey))
      .catch((error) => {
        console.warn(`the ledger can't be read: ${error}`);
        return stored.list();
      });
    return [
      ...configured.map((key) => listed(key, "configured")),
      ...made.map((key) => listed(key, "mirror")),
    ];
  }

  /** Makes a key, which is known at this moment only. @param body as parsed from JSON. */
  async make(body: unknown): Promise<{ key: string } & ListedKey> {
    const { name, ...terms } = parsed(MakeRequest, body, BODY);
    if (this.#options.access === "open") {
      throw new RegistryError(
        409,
        "DENIED",
        "this mirror is open to everyone: it takes keys where ACCESS is keys",
      );
    }
    this.#refuseConfigured(name);
    this.#refusePast(terms);
    const { key, written } = await this.#change((list) => addKey(list, name, terms));
    return { key, ...listed(readKey(written), "mirror") };
  }

  /** Gives a key other terms; its value stays. */
  async narrow(name: string, body: unknown): Promise<void> {
    const terms = parsed(TermsRequest, body, BODY);
    this.#refuseConfigured(name);
    this.#refusePast(terms);
    await this.#change(async (list) => ({ list: changeTerms(list, name, terms) }));
  }

  /** Gives a key another value, which ends the former one. */
  async rotate(name: string, body: unknown): Promise<{ key: string } & ListedKey> {
    const { expires } = parsed(RotateRequest, body, BODY);
    this.#refuseConfigured(name);
    const { now } = this.#options;
    const { key, written } = await this.#change((list) => rotateKey(list, name, expires, now()));
    return { key, ...listed(readKey(written), "mirror") };
  }

  /** Ends a key and its tokens: here at once, everywhere within a minute. */
  async revoke(name: string): Promise<void> {
    this.#refuseConfigured(name);
    await this.#change(async (list) => ({ list: revokeKey(list, name) }));
  }

  async #change<Result extends { list: WrittenKey[] }>(
    change: (list: readonly WrittenKey[]) => Promise<Result>,
  ): Promise<Result> {
    const ledger = this.#options.ledger();
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { version, keys } = await ledger.accessKeys().catch(unwritten);
      const result = await change(keys).catch(refusal);
      if (JSON.stringify(result.list).length > LONGEST) {
        throw new RegistryError(409, "DENIED", "there are as many keys as the mirror can hold: revoke one");
      }
      const isDone = await ledger.replaceAccessKeys(result.list, version).catch(unwritten);
      if (!isDone) continue;
      this.#options.stored.replace(result.list);
      return result;
    }
    throw new RegistryError(503, "UNAVAILABLE", "other changes of the keys came between: try again");
  }

  #refuseConfigured(name: string): void {
    if (!this.#options.configured.some((key) => key.name === name)) return;
    const message = `${name} is among ACCESS_KEYS: change it with portolan key, then key push`;
    throw new RegistryError(409, "DENIED", message);
  }

  #refusePast({ expires }: KeyTerms): void {
    if (expires === null || Date.parse(expires) > this.#options.now()) return;
    throw new RegistryError(400, "UNSUPPORTED", "expires must lie in the future");
  }
}

const REFUSALS = {
  taken: [409, "UNSUPPORTED"],
  absent: [404, "NAME_UNKNOWN"],
  invalid: [400, "UNSUPPORTED"],
} as const;

function refusal(error: unknown): never {
  if (!(error instanceof KeyProblem)) throw error;
  const [status, code] = REFUSALS[error.kind];
  throw new RegistryError(status, code, error.message);
}

/** KV takes one write a second to the same key. */
function unwritten(error: unknown): never {
  console.warn(`the access keys can't be written: ${error}`);
  throw new RegistryError(503, "UNAVAILABLE", "the access keys can't be written at the moment: try again", {
    "Retry-After": "2",
  });
}

function listed({ hash: _, expires, ...key }: AccessKey, from: ListedKey["from"]): ListedKey {
  return { ...key, expires: expires === null ? null : new Date(expires).toISOString(), from };
}
