/** How many requests a minute a caller may send: by the platform's counters where there are any, else by buckets here. */
import { RegistryError } from "../oci/errors.ts";

/** The rate-limiting binding, as far as it is used. Its limit and period stand in wrangler.toml. */
export interface RateLimiter {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

/** Requests a minute from one address where there is no binding; wrangler.toml says the same of the binding. */
export const ADDRESS_RATE = 1200;
/** Passwords a minute that an upstream may refuse for one user before no more are passed on. */
export const REFUSED_LOGIN_RATE = 20;
/** Characters of a user name by which it is counted; a longer one is no account's. */
const MAXIMUM_USERNAME = 128;
/** Seconds after which a limited client may retry; the binding doesn't say when its period ends. */
const PERIOD = 60;
const MAXIMUM_BUCKETS = 10_000;

interface Bucket {
  tokens: number;
  /** Milliseconds since the epoch when `tokens` was right. */
  filled: number;
}

/** One isolate's token buckets, each full at first: a pull comes in a burst. */
export class Buckets {
  readonly #buckets = new Map<string, Bucket>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Takes a token. @returns 0, or the seconds until there is one. */
  take(name: string, perMinute: number): number {
    const available = this.#available(name, perMinute);
    this.#buckets.delete(name);
    this.#buckets.set(name, { tokens: available >= 1 ? available - 1 : available, filled: this.#now() });
    const oldest = this.#buckets.keys().next().value;
    if (this.#buckets.size > MAXIMUM_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest);
    return secondsUntilOne(available, perMinute);
  }

  /** Takes none. @returns 0, or the seconds until there is one. */
  wait(name: string, perMinute: number): number {
    return secondsUntilOne(this.#available(name, perMinute), perMinute);
  }

  #available(name: string, perMinute: number): number {
    const now = this.#now();
    const { tokens, filled } = this.#buckets.get(name) ?? { tokens: perMinute, filled: now };
    return Math.min(perMinute, tokens + (Math.max(0, now - filled) / 60_000) * perMinute);
  }
}

function secondsUntilOne(available: number, perMinute: number): number {
  return available >= 1 ? 0 : Math.ceil(((1 - available) / perMinute) * 60);
}

export class Limits {
  readonly #buckets: Buckets;
  /** Apart, so that many user names don't push addresses and keys out. */
  readonly #logins: Buckets;
  readonly #limiter: RateLimiter | null;
  readonly #addressRate: number;

  /**
   * @param limiter null where the platform has none.
   * @param addressRate requests a minute from one address where there is no limiter.
   */
  constructor(limiter: RateLimiter | null, now: () => number, addressRate = ADDRESS_RATE) {
    this.#limiter = limiter;
    this.#addressRate = addressRate;
    this.#buckets = new Buckets(now);
    this.#logins = new Buckets(now);
  }

  /**
   * Counts a request of an address, before anything is done for it.
   * @param address null where it isn't known; this machine's own isn't limited.
   * @throws RegistryError 429
   */
  async countAddress(address: string | null): Promise<void> {
    if (address === null || isOwnAddress(address)) return;
    const name = `address ${networkOf(address)}`;
    const wait = this.#limiter
      ? (await isWithin(this.#limiter, name))
        ? 0
        : PERIOD
      : this.#buckets.take(name, this.#addressRate);
    if (wait > 0) throw tooMany("your address", wait);
  }

  /**
   * Counts a request of an access key that has a rate of its own.
   * @throws RegistryError 429
   */
  countKey({ hash, rate }: { hash: string; rate: number | null }): void {
    const wait = rate === null ? 0 : this.#buckets.take(`key ${hash}`, rate);
    if (wait > 0) throw tooMany("this access key", wait);
  }

  /**
   * Passes a user's password on to an upstream, unless too many for that user were refused lately, whatever addresses they
   * came from: else the mirror could be used to guess one, and upstream would see its address alone. What upstream lets in
   * isn't counted.
   * @throws RegistryError 429, or what `relay` throws.
   */
  async passThroughLogin<Result>(
    upstream: string,
    username: string,
    relay: () => Promise<Result>,
  ): Promise<Result> {
    const name = `${upstream} ${username.slice(0, MAXIMUM_USERNAME).toLowerCase()}`;
    return this.#guess(name, `this user of ${upstream}`, relay);
  }

  /**
   * Lets a visitor of the pages sign in, unless too many attempts from their address failed lately.
   * @throws RegistryError 429, or what `signIn` throws.
   */
  signIn<Result>(address: string | null, signIn: () => Promise<Result>): Promise<Result> {
    return this.#guess(`page ${address === null ? "" : networkOf(address)}`, "your address", signIn);
  }

  async #guess<Result>(name: string, who: string, run: () => Promise<Result>): Promise<Result> {
    const wait = this.#logins.wait(name, REFUSED_LOGIN_RATE);
    if (wait > 0) throw tooMany(who, wait);
    try {
      return await run();
    } catch (error) {
      if (error instanceof RegistryError && error.status === 401) this.#logins.take(name, REFUSED_LOGIN_RATE);
      throw error;
    }
  }
}

/** A counter that is out of order counts nothing: it protects the mirror and isn't what makes it safe. */
async function isWithin(limiter: RateLimiter, key: string): Promise<boolean> {
  try {
    return (await limiter.limit({ key })).success;
  } catch (error) {
    console.warn(`the rate limiter is out of order: ${error}`);
    return true;
  }
}

function tooMany(who: string, wait: number): RegistryError {
  const message = `${who} has sent too many requests; try again in ${wait} s`;
  return new RegistryError(429, "TOOMANYREQUESTS", message, { "Retry-After": String(wait) });
}

function isOwnAddress(address: string): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

/** One subscriber's addresses: an IPv6 one comes with at least a /64, all of which is theirs to send from. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const host = URL.parse(`http://[${address}]`)?.hostname.slice(1, -1) ?? address;
  const [, dotted] = /^::ffff:(.*)$/.exec(host) ?? [];
  if (dotted !== undefined) return host;
  const [head = "", tail] = host.split("::");
  const groups = head === "" ? [] : head.split(":");
  const rest = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - groups.length - rest.length;
  return [...groups, ...Array<string>(zeros).fill("0"), ...rest].slice(0, 4).join(":");
}
