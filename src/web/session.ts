/**
 * Who has signed in on the pages: the holder of an access key, who sees what the key opens, and the owner. Both are kept in cookies
 * that no script reads and no other site makes the browser send.
 */
import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { sign, verify } from "hono/jwt";
import type { Gate } from "../access/gate.ts";
import { type AccessKey, hashKey } from "../access/keys.ts";
import { LIFETIME } from "../access/tokens.ts";
import { RegistryError } from "../oci/errors.ts";

export interface SessionServices {
  config: { adminKey: string | null; access: "open" | "keys" };
  gate: Pick<Gate, "tokens" | "find">;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** No host's name: what is issued to a page is no token for `docker login`, nor the other way round. */
const AUDIENCE = "/_/";
const COOKIES = { key: "portolan-key", owner: "portolan-owner" } as const;
const ALGORITHM = "HS256";

/** Where requests that a page makes for its visitor appear to be sent; a loopback name is always the mirror's own. */
export const INTERNAL_HOST = "localhost";

/** The access key whose holder has signed in; null for none, and once the key is revoked or has expired. */
export async function keyOf({ gate }: SessionServices, c: Context): Promise<AccessKey | null> {
  const token = getCookie(c, COOKIES.key, prefixOf(c));
  return token ? gate.tokens.keyOf(token, AUDIENCE, "page") : null;
}

/** The Authorization of requests made for the visitor; null without a session. */
export async function authorizationOf(services: SessionServices, c: Context): Promise<string | null> {
  const key = await keyOf(services, c);
  return key && authorizationFor(services, key);
}

/** The Authorization of requests made for a key's holder. */
export async function authorizationFor({ gate }: SessionServices, key: AccessKey): Promise<string> {
  return `Bearer ${(await gate.tokens.issue(key, INTERNAL_HOST, "pull")).token}`;
}

/** Whether the owner has signed in. A new ADMIN_KEY ends all such sessions. */
export async function isOwner({ config, now }: SessionServices, c: Context): Promise<boolean> {
  const token = getCookie(c, COOKIES.owner, prefixOf(c));
  if (!token || config.adminKey === null) return false;
  try {
    const expected = { alg: ALGORITHM, aud: AUDIENCE, exp: false, iat: false } as const;
    const { exp } = await verify(token, ownerSecret(config.adminKey), expected);
    return typeof exp === "number" && exp * 1000 > now();
  } catch {
    return false;
  }
}

/**
 * Begins the session that a secret stands for.
 * @throws RegistryError 401 for one that is none of this mirror's.
 */
export async function signIn(services: SessionServices, c: Context, secret: string): Promise<void> {
  const { config, gate, now } = services;
  if (config.adminKey !== null && (await hashKey(secret)) === (await hashKey(config.adminKey))) {
    const exp = Math.floor(now() / 1000) + LIFETIME.page;
    set(c, COOKIES.owner, await sign({ aud: AUDIENCE, exp }, ownerSecret(config.adminKey), ALGORITHM));
    return;
  }
  const key = config.access === "keys" ? await gate.find(secret) : null;
  if (!key) throw new RegistryError(401, "UNAUTHORIZED", "this is no key of this mirror");
  set(c, COOKIES.key, (await gate.tokens.issue(key, AUDIENCE, "page")).token);
}

export function signOut(c: Context): void {
  for (const name of Object.values(COOKIES)) {
    deleteCookie(c, name, { path: "/", secure: isSecure(c), ...prefixed(c) });
  }
}

/** What the owner's sessions are signed with: never what access keys' tokens are, even where both secrets are the same. */
function ownerSecret(adminKey: string): string {
  return `owner's sessions signed for ${adminKey}`;
}

function set(c: Context, name: string, value: string): void {
  setCookie(c, name, value, {
    path: "/",
    httpOnly: true,
    sameSite: "Strict",
    secure: isSecure(c),
    maxAge: LIFETIME.page,
    ...prefixed(c),
  });
}

/** Over https the name is one that neither a neighbouring host nor plain http can set. */
function prefixOf(c: Context): "host" | undefined {
  return isSecure(c) ? "host" : undefined;
}

function prefixed(c: Context): { prefix?: "host" } {
  return isSecure(c) ? { prefix: "host" } : {};
}

function isSecure({ req }: Context): boolean {
  return new URL(req.url).protocol === "https:" || req.header("X-Forwarded-Proto") === "https";
}
