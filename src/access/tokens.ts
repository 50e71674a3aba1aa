/** Short-lived tokens that stand for an access key, so that clients which log in needn't send the key with each request. */
import { sign, verify } from "hono/jwt";
import type { AccessKey } from "./keys.ts";

/** `pull` answers a challenge; `refresh` is kept by a client in place of the key, to get tokens with; `page` by a browser. */
export type TokenUse = "pull" | "refresh" | "page";

/** Seconds. */
export const LIFETIME: Record<TokenUse, number> = { pull: 300, refresh: 90 * 24 * 3600, page: 12 * 3600 };

const ALGORITHM = "HS256";
const ISSUER = "portolan";

export interface TokensOptions {
  /** What tokens are signed with. */
  secret: string;
  keys: { findHash(hash: string): Promise<AccessKey | null> };
  /** Milliseconds since the epoch. */
  now: () => number;
}

/**
 * A token carries no scope: it stands for its key and opens what that opens at the moment it is shown. A key that is
 * revoked ends all its tokens at once.
 */
export class AccessTokens {
  readonly #options: TokensOptions;

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /** Whether a token was issued here, for whatever host and use, and whether or not it has expired. */
  async isOwn(token: string): Promise<boolean> {
    try {
      await verify(token, this.#options.secret, { alg: ALGORITHM, iss: ISSUER, exp: false, iat: false });
      return true;
    } catch {
      return false;
    }
  }

  /**
   * @param host the mirror's own host, beyond which the token is worth nothing.
   * @returns the token and the seconds until it ends, with its key at the latest.
   */
  async issue(key: AccessKey, host: string, use: TokenUse): Promise<{ token: string; expiresIn: number }> {
    const now = Math.floor(this.#options.now() / 1000);
    const exp = Math.min(now + LIFETIME[use], Math.floor((key.expires ?? Number.POSITIVE_INFINITY) / 1000));
    const claims = { iss: ISSUER, aud: host, sub: key.hash, use, iat: now, exp };
    return { token: await sign(claims, this.#options.secret, ALGORITHM), expiresIn: exp - now };
  }

  /**
   * The key that a token stands for; null for any that isn't ours, isn't for this, or has expired.
   * @throws RegistryError 503 if its key can't be looked up.
   */
  async keyOf(token: string, host: string, use: TokenUse): Promise<AccessKey | null> {
    const hash = await this.#keyHashIn(token, host, use);
    return hash === null ? null : this.#options.keys.findHash(hash);
  }

  /** Of a token that is valid now. */
  async #keyHashIn(token: string, host: string, use: TokenUse): Promise<string | null> {
    try {
      const expected = { alg: ALGORITHM, iss: ISSUER, aud: host, exp: false, iat: false } as const;
      const { sub, exp, use: isFor } = await verify(token, this.#options.secret, expected);
      // By the mirror's own clock, as everything else that ends.
      const now = this.#options.now();
      if (isFor !== use || typeof sub !== "string" || typeof exp !== "number" || exp * 1000 <= now)
        return null;
      return sub;
    } catch {
      return null;
    }
  }
}
