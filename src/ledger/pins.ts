/** Which images never leave the store: those that PIN names, and those that the owner pins while the mirror runs. */
import * as v from "valibot";
import { isImagePattern } from "../access/image-patterns.ts";
import { RegistryError } from "../oci/errors.ts";
import { parseJson } from "../oci/json.ts";
import { PinRequest, parsed } from "./requests.ts";

/** The owner's list in KV, where it outlives the ledger. No tag record has this prefix. */
const PINS = "ledger/pins";
/** Patterns that the owner may add. */
const MOST = 200;

/** The part of KV that is used. */
export interface PinStore {
  get(key: string): Promise<string | null>;
  put(key: string, value: string): Promise<void>;
}

export interface Pin {
  /** As in PIN: `docker.io/library/alpine:3`, `ghcr.io/team/*`. */
  pattern: string;
  /** `configured` for one of PIN's, which only a deploy removes. */
  from: "configured" | "mirror";
}

const Written = v.array(v.string());

export class Pins {
  readonly #kv: PinStore;
  readonly #configured: readonly string[];

  constructor(kv: PinStore, configured: readonly string[]) {
    this.#kv = kv;
    this.#configured = configured;
  }

  /** @throws if KV can't be read: what is pinned must be known before anything is evicted. */
  async list(): Promise<Pin[]> {
    const added = await this.#read();
    return [
      ...this.#configured.map((pattern) => ({ pattern, from: "configured" as const })),
      ...added.map((pattern) => ({ pattern, from: "mirror" as const })),
    ];
  }

  /** @throws as `list`. */
  async patterns(): Promise<string[]> {
    return (await this.list()).map(({ pattern }) => pattern);
  }

  /** @param request as parsed from JSON. @throws RegistryError 400; 409 for one too many. */
  async pin(request: unknown): Promise<void> {
    const { pattern } = parsed(
      PinRequest,
      request,
      "the body has a pattern, such as docker.io/library/alpine:3",
    );
    if (!isImagePattern(pattern)) {
      const message = `"${pattern}" can't match an image: write docker.io/library/alpine:3 or ghcr.io/team/*`;
      throw new RegistryError(400, "NAME_INVALID", message);
    }
    const added = await this.#read();
    if (added.includes(pattern)) return;
    if (added.length >= MOST) {
      throw new RegistryError(409, "UNSUPPORTED", `${MOST} patterns are pinned already: add this one to PIN`);
    }
    await this.#write([...added, pattern]);
  }

  /** @throws RegistryError 404; 409 for one of PIN's. */
  async unpin(pattern: string): Promise<void> {
    const added = await this.#read();
    if (added.includes(pattern)) return this.#write(added.filter((each) => each !== pattern));
    throw this.#configured.includes(pattern)
      ? new RegistryError(409, "UNSUPPORTED", `${pattern} is in the variable PIN: remove it there`)
      : new RegistryError(404, "NAME_UNKNOWN", `${pattern} isn't pinned`);
  }

  async #read(): Promise<string[]> {
    const text = await this.#kv.get(PINS);
    const written = text === null ? [] : parseJson(Written, text);
    if (written === null) throw new Error(`the value of ${PINS} in KV isn't a list of patterns`);
    return written;
  }

  #write(patterns: readonly string[]): Promise<void> {
    return this.#kv.put(PINS, JSON.stringify(patterns));
  }
}
