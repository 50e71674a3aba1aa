/** Who asks, and what they may pull. */

import { formatChallenge } from "../oci/challenge.ts";
import { RegistryError } from "../oci/errors.ts";
import { readAuthorization } from "./credentials.ts";
import { KeyRing } from "./key-ring.ts";
import type { AccessKey } from "./keys.ts";
import { matchesAny } from "./patterns.ts";
import { type MoreKeys, NO_MORE_KEYS } from "./stored-keys.ts";
import { AccessTokens } from "./tokens.ts";
import { keysIn } from "./url.ts";

/** An anonymous client, unless one of its parts says more. */
export interface Caller {
  /** Null where ACCESS is open, and for a client without a key that pulls from a public hosted repository. */
  key: AccessKey | null;
  /** The Authorization for upstream requests: only on a host that is set up for login pass-through. */
  login: string | null;
}

/** What of a request tells who sent it. */
export interface RequestCredentials {
  /** As the client sent it, with the key if it carries one. */
  url: URL;
  /** The mirror's own host, without the key: what tokens are good for, and what may be shown and logged. */
  host: string;
  headers: Headers;
  /** The key that the URL carries. */
  key: string | null;
  /** Whether this host is an upstream's own that passes its users' logins through. */
  passesLogins: boolean;
}

/** What of the configuration says who may pull what. */
export interface GateSettings {
  /** `open` to every client, or to the holders of `keys`. */
  access: "open" | "keys";
  keys: readonly AccessKey[];
  /** Patterns on `upstream/repository` that are served; empty: all. */
  allow: readonly string[];
  /** Patterns that are not served, whatever `allow` says. */
  deny: readonly string[];
  hosted: {
    /** Patterns on `hosted/repository` that anyone may pull from. */
    public: readonly string[];
  };
  /** What access tokens are signed with; null only where `access` is open, or there are no keys. */
  signingSecret: string | null;
}

export class Gate {
  readonly tokens: AccessTokens;
  readonly #settings: GateSettings;
  readonly #keys: KeyRing;

  /** @param more keys beside those of the settings. */
  constructor(settings: GateSettings, now: () => number, more: MoreKeys = NO_MORE_KEYS) {
    this.#settings = settings;
    // A mirror that can't sign has no keys but its own: a token must never be signed with a secret that anyone knows.
    const { signingSecret } = settings;
    this.#keys = new KeyRing(settings.keys, signingSecret === null ? NO_MORE_KEYS : more, now);
    this.tokens = new AccessTokens({ secret: signingSecret ?? "", keys: this.#keys, now });
  }

  /** @throws RegistryError 503 */
  async hasKeys(): Promise<boolean> {
    return !(await this.#keys.isEmpty());
  }

  /** Replaces the keys of the configuration: one that is no longer among them opens nothing from now on, nor do its tokens. */
  replaceKeys(keys: readonly AccessKey[]): void {
    this.#keys.replace(keys);
  }

  /**
   * Finds out who sends a request. An open mirror asks for no login, and ignores what a client sends by itself,
   * unless the host passes logins through.
   * @param isPublic whether the request needs no key. One that isn't valid is then ignored: a client can't know
   *   beforehand that its credential isn't needed.
   * @throws RegistryError 401 with a challenge where a key is needed and none that is valid was shown, or 403 where no key
   *   could be valid.
   */
  async identify(requestCredentials: RequestCredentials, isPublic = false): Promise<Caller> {
    if (this.#settings.access === "open") {
      return { key: null, login: await this.#loginOf(requestCredentials) };
    }
    await this.requireKeys();
    const key =
      requestCredentials.key === null
        ? await this.#keyIn(requestCredentials)
        : await this.find(requestCredentials.key);
    if (!key && isPublic) return { key: null, login: null };
    if (!key) throw unauthorized(requestCredentials);
    // What a client shows beside a key in the URL is meant for the upstream.
    return { key, login: requestCredentials.key === null ? null : await this.#loginOf(requestCredentials) };
  }

  /**
   * Makes sure that a keyed mirror has keys. One without never challenges: no login could be right, and dockerd would respond
   * with its user's Docker Hub password.
   * @throws RegistryError 403 that tells its operator how it is opened.
   */
  async requireKeys(): Promise<void> {
    if (await this.#keys.isEmpty()) throw new RegistryError(403, "DENIED", CLOSED);
  }

  /** The client's login at the upstream; what is this mirror's own is none, and upstream is never shown it. */
  async #loginOf({ headers, passesLogins }: RequestCredentials): Promise<string | null> {
    const header = headers.get("Authorization");
    const shown = passesLogins ? readAuthorization(header) : null;
    if (!shown) return null;
    const texts = shown.scheme === "basic" ? [shown.username, shown.password] : [shown.token];
    return (await this.isOwn(texts)) ? null : header;
  }

  /** Whether any of some texts is a key or a token of this mirror's, valid or no longer. */
  async isOwn(texts: readonly string[]): Promise<boolean> {
    const found = texts.map(async (text) => (await this.#keys.has(text)) || this.tokens.isOwn(text));
    return (await Promise.all(found)).includes(true);
  }

  /**
   * Refuses what holds a key of this mirror's where none belongs: as a part of a name, or in a query, it would go upstream.
   * @param text a path and a query, out of which the client's key was taken.
   * @throws RegistryError 404
   */
  async rejectKeysIn(text: string): Promise<void> {
    const { access } = this.#settings;
    const candidates = keysIn(text);
    if (candidates?.length === 0 || (await this.#keys.isEmpty())) return;
    const found = candidates && (await Promise.all(candidates.map((each) => this.#keys.has(each))));
    if (found && !found.includes(true)) return;
    const advice =
      access === "open" ? "this mirror is open and takes none" : "before the path it is /<key>/docker.io/v2/";
    throw new RegistryError(
      404,
      "NAME_UNKNOWN",
      `an access key stands where it doesn't belong in the URL; ${advice}`,
    );
  }

  /** The key of a client's Authorization: as password, as bearer token, or by a token of ours. */
  async #keyIn({ host, headers }: RequestCredentials): Promise<AccessKey | null> {
    const shown = readAuthorization(headers.get("Authorization"));
    if (!shown) return null;
    const text = shown.scheme === "basic" ? shown.password : shown.token;
    const key = await this.find(text);
    return key ?? (shown.scheme === "bearer" ? this.tokens.keyOf(shown.token, host, "pull") : null);
  }

  /** The key itself, if it is valid. */
  find(text: string): Promise<AccessKey | null> {
    return this.#keys.find(text);
  }

  /**
   * @param name `upstream/repository`
   * @throws RegistryError 403 for what this mirror, or the caller's key, doesn't open.
   */
  admit({ key }: Caller, name: string): void {
    if (key === null && this.#settings.access === "keys") throw new RegistryError(403, "DENIED", NEEDS_KEY);
    if (!permits(this.#settings, name)) {
      throw new RegistryError(403, "DENIED", `${name} is not served by this mirror`);
    }
    if (key && !permits(key, name)) {
      throw new RegistryError(403, "DENIED", `this access key doesn't open ${name}`);
    }
  }

  /**
   * Whether a caller may read a hosted repository; ALLOW and DENY are about mirrored ones only.
   * @param name `hosted/repository`
   */
  mayPull({ key }: Caller, name: string): boolean {
    if (this.isPublic(name)) return true;
    if (key === null) return this.#settings.access === "open";
    return permits(key, name) || matchesAny(key.push, name);
  }

  /** Whether a hosted repository needs no key to be pulled from. @param name `hosted/repository` */
  isPublic(name: string): boolean {
    return matchesAny(this.#settings.hosted.public, name);
  }

  /**
   * @param name `hosted/repository`
   * @param isOpen whether everyone may push and delete.
   * @throws RegistryError 403
   */
  admitHosted(caller: Caller, name: string, action: HostedAction, isOpen: boolean): void {
    if (!this.mayPull(caller, name)) {
      throw new RegistryError(403, "DENIED", `this access key doesn't open ${name}`);
    }
    if (action === "pull" || isOpen) return;
    const { key } = caller;
    if (key === null) throw new RegistryError(403, "DENIED", NO_OPEN_PUSH);
    if (matchesAny(key[action], name)) return;
    throw new RegistryError(
      403,
      "DENIED",
      `this access key may not ${action} here: portolan key add NAME --${action} '${name}'`,
    );
  }
}

/** Whether a caller may do something with a hosted repository. */
export type HostedAction = "pull" | "push" | "delete";

function permits({ allow, deny }: Pick<AccessKey, "allow" | "deny">, name: string): boolean {
  return (allow.length === 0 || matchesAny(allow, name)) && !matchesAny(deny, name);
}

/** Where this mirror gives out tokens. */
export const TOKEN_PATH = "/_/token";

/**
 * The challenge, the same for whatever was requested: it names no scope, since a token stands for its key. The realm has the
 * key that a client put into the host; the service, which clients repeat in their query, hasn't.
 * Source: distribution-spec, "Token Authentication"; RFC 6750 §3.
 */
export function challengeOf({ url, host, headers }: RequestCredentials): string {
  const origin = new URL(url.origin);
  // A TLS proxy in front is only believed to make things safer, never to lead elsewhere or to plain http.
  if (headers.get("X-Forwarded-Proto") === "https") origin.protocol = "https:";
  return formatChallenge("Bearer", { realm: new URL(TOKEN_PATH, origin).href, service: host });
}

/** What an operator is to do whose mirror has no keys. */
export const CLOSED =
  "this mirror is closed: it has no access keys. Its operator makes one with `npm run portolan -- key add NAME --mirror URL` and its ADMIN_KEY, or with `key add NAME` and `npm run deploy`; or makes it public by ACCESS=open, with `npm run deploy -- --open`";

/** An open mirror that others can reach takes no pushes: it doesn't know from whom they are. */
const NO_OPEN_PUSH =
  "an open mirror takes no pushes, except on loopback: set ACCESS=keys and make a key with push rights, portolan key add NAME --push 'hosted/*'";

/** What a caller without a key reads, wherever one is needed. */
export const NEEDS_KEY =
  "this mirror needs an access key: log in with any user name and the key as the password";

function unauthorized(requestCredentials: RequestCredentials): RegistryError {
  return new RegistryError(401, "UNAUTHORIZED", NEEDS_KEY, {
    "WWW-Authenticate": challengeOf(requestCredentials),
  });
}
