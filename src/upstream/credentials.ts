/** The operator's logins for an upstream: which to use next, so that no single one reaches its limit while others are unused. */
import type { Credential, Login } from "../registry/registry.ts";
import { DEFAULT_LIMIT, LONGEST_LIMIT } from "./limits.ts";
import { pullsRemainingIn } from "./observer.ts";
import type { Upstream } from "./registries.ts";

interface State {
  /** Pulls left in the limit's window, as upstream last reported; null before it has. */
  remaining: number | null;
  /** Milliseconds since the epoch until which it isn't used. */
  asideUntil: number;
}

/** Milliseconds for which a login that upstream refuses isn't used. */
const REFUSED = 15 * 60_000;

/** One isolate's view of the pool. */
export class Credentials {
  readonly #logins: ReadonlyMap<string, readonly Login[]>;
  readonly #states = new Map<string, State>();
  /** By name, milliseconds since the epoch until which it isn't sent again. */
  readonly #refusedUntil = new Map<string, number>();
  readonly #now: () => number;

  /** @param table upstream names and their logins, as UPSTREAM_CREDENTIALS gives them. */
  constructor(table: Readonly<Record<string, readonly Credential[]>>, now: () => number) {
    this.#now = now;
    this.#logins = new Map(
      Object.entries(table).map(([upstream, credentials]) => [
        upstream,
        credentials.map((credential, index) => ({ ...credential, name: `${upstream} #${index + 1}` })),
      ]),
    );
  }

  /** Whether there is any login for the upstream, usable or not. */
  has(upstream: Upstream): boolean {
    return (this.#logins.get(upstream.name)?.length ?? 0) > 0;
  }

  /** The logins that can be used now, the one with most left first; one with an unknown limit counts as unused. */
  usable(upstream: Upstream): Login[] {
    const left = (login: Login) => this.#states.get(login.name)?.remaining ?? Number.POSITIVE_INFINITY;
    return (this.#logins.get(upstream.name) ?? [])
      .filter(
        (login) => !this.#isRefused(login) && (this.#states.get(login.name)?.asideUntil ?? 0) <= this.#now(),
      )
      .sort((one, other) => (left(one) === left(other) ? 0 : left(other) - left(one)));
  }

  /** Whether at least one is accepted, though its limit may be reached. */
  hasAccepted(upstream: Upstream): boolean {
    return (this.#logins.get(upstream.name) ?? []).some((login) => !this.#isRefused(login));
  }

  /** Notes how many pulls upstream says are left. */
  note(login: Login, headers: Headers): void {
    const remaining = pullsRemainingIn(headers);
    if (remaining === null) return;
    const asideUntil = this.#states.get(login.name)?.asideUntil ?? 0;
    this.#states.set(login.name, { remaining, asideUntil });
  }

  /** Sets aside a login whose limit is reached, until it ends; `seconds` is null where upstream doesn't say when. */
  setAside(login: Login, seconds: number | null): void {
    this.#states.set(login.name, {
      remaining: null,
      asideUntil: this.#now() + Math.min(seconds ?? DEFAULT_LIMIT, LONGEST_LIMIT) * 1000,
    });
  }

  /**
   * Sets aside a login that upstream doesn't accept, because repeated requests with a wrong password get accounts locked. Not
   * permanently, because a token server that is out of order refuses valid logins too.
   */
  refuse(login: Login): void {
    if (this.#isRefused(login)) return;
    this.#refusedUntil.set(login.name, this.#now() + REFUSED);
    console.error(
      `upstream refuses the credential ${login.name} of UPSTREAM_CREDENTIALS; it is tried again in ${REFUSED / 60_000} minutes`,
    );
  }

  #isRefused({ name }: Login): boolean {
    return (this.#refusedUntil.get(name) ?? 0) > this.#now();
  }
}
