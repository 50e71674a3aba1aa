/** How far a registry's answers may lead: never to an address nearer to this machine than the registry itself. */
import { type LookupAddress, type LookupAllOptions, lookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { isInternal, isLoopback } from "../../src/registry/addresses.ts";
import { RegistryFailure, UNSAFE } from "./failure.ts";

/** From the Internet inwards: anybody's, this network's, this machine's own. */
const PUBLIC = 0;
const NETWORK = 1;
const MACHINE = 2;

/** As `lookup` of node:dns. */
export type Resolve = (
  name: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, found: LookupAddress[]) => void,
) => void;

/** Whether what one host answers may send us on to another, as far as their names and literal addresses tell. */
export function mayReach(from: URL, to: URL): boolean {
  return to.hostname === from.hostname || nearness(to) <= nearness(from);
}

/** What a registry that the user named may lead to; knows what its name resolves to once it has been looked up. */
export class Reach {
  readonly #named: URL;
  readonly #resolve: Resolve;
  #nearness: number;

  /** @param resolve the system's, except in tests. */
  constructor(named: URL, resolve: Resolve = lookup) {
    this.#named = named;
    this.#resolve = resolve;
    this.#nearness = nearness(named);
  }

  /** @throws RegistryFailure for a URL that may not be requested on the word of this registry. */
  check(url: URL): void {
    if (url.hostname !== this.#named.hostname && nearness(url) > this.#nearness)
      throw this.#refusal(url.host);
  }

  /** Looks a name up for a connection, and leaves out addresses that may not be reached. */
  readonly lookup: LookupFunction = (name, options, callback) => {
    this.#resolve(name, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, "");
      const isNamed = name === this.#named.hostname;
      if (isNamed)
        this.#nearness = Math.max(this.#nearness, ...found.map(({ address }) => nearnessOf(address)));
      const allowed = isNamed ? found : found.filter(({ address }) => nearnessOf(address) <= this.#nearness);
      const [first] = allowed;
      if (!first) {
        const refusal = this.#refusal(`${name} (${found[0]?.address ?? "no address"})`);
        return callback(new Error(refusal.message, { cause: refusal }), "");
      }
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };

  #refusal(where: string): RegistryFailure {
    const why = `${this.#named.host} leads to ${where}, inside this network or machine, which is not allowed`;
    return new RegistryFailure(0, UNSAFE, why);
  }
}

function nearness(url: URL): number {
  // Link-local addresses are the machine's own: clouds give credentials there.
  if (isLoopback(url) || /^(169\.254\.|0\.|\[(::|fe[89ab]))/.test(url.hostname)) return MACHINE;
  return isInternal(url) ? NETWORK : PUBLIC;
}

function nearnessOf(address: string): number {
  return nearness(new URL(`http://${address.includes(":") ? `[${address.replace(/%.*/, "")}]` : address}`));
}
