/** The Worker's variables on one machine: the project's, those given at the start, and the secrets stored in the data folder. */
import { isLoopback } from "../../src/registry/addresses.ts";
import { type Environment, PROXY_VARIABLES } from "../../src/registry/proxies.ts";
import { readKeyFile } from "../keys/key-file.ts";
import { keptSigningSecret } from "../keys/signing.ts";
import { urlOf } from "./address.ts";

export interface Given {
  /** A name or address of this machine to listen on. */
  host: string;
  /** The folder of the store. */
  data: string;
  /** Upstreams to add to or replace in the built-in table: name → endpoints, the primary first. */
  upstreams?: Record<string, readonly string[]>;
  /** Names of upstreams whose endpoints may be `http://`. */
  insecure?: readonly string[];
  /** Variables as in wrangler.toml's `[vars]`. */
  vars?: Record<string, string>;
  /** The file of access keys, for a mirror that requires keys and doesn't have them in its variables. */
  keyFile?: string;
  /** Host names that its certificate is for. */
  certified?: readonly string[];
  /** Another mirror that everything is requested from first. */
  behind?: { url: string; key: string | null };
  /** A proxy for all that NO_PROXY doesn't except, instead of the environment's. */
  proxy?: string;
  /** Where the proxies' variables are. */
  environment?: Environment;
}

/** @param own the project's. @throws Error if the file with the keys can't be used. */
export function variables(own: Record<string, unknown>, given: Given): Promise<Record<string, unknown>> {
  // LOOPBACK opens a mirror without an explicit setting: no configuration may contain it.
  const { LOOPBACK: _, PROXIES: __, ...rest } = withRelay(withUpstreams(own, given), given);
  const chosen = { ...rest, PROXIES: proxiesOf(given) };
  const url = URL.parse(urlOf(given.host, 0));
  return withKeys(url && isLoopback(url) ? onLoopback(chosen, given) : chosen, given);
}

/**
 * Only this machine reaches the mirror, by its own names, HOSTS and the certificate's: a browser doesn't accept the latter from
 * a page of another name, wherever that resolves to.
 */
function onLoopback(bindings: Record<string, unknown>, { certified = [] }: Given): Record<string, unknown> {
  const hosts =
    certified.length === 0 ? {} : { HOSTS: [bindings.HOSTS ?? [], ...certified].flat().join(",") };
  return { ...bindings, ...hosts, LOOPBACK: true };
}

/** The given variables over the project's; tables of upstreams are merged. */
function withUpstreams(
  own: Record<string, unknown>,
  { vars = {}, upstreams = {}, insecure = [] }: Given,
): Record<string, unknown> {
  const table = tableOf(vars.UPSTREAMS ?? own.UPSTREAMS ?? {});
  // A table that can't be parsed is left as it is: validating the configuration reports the problem.
  const names = [...Object.keys(upstreams), ...insecure];
  if (!table || names.length === 0) return { ...own, ...vars };
  const given = names.map((name) => {
    const settings = { ...tableOf(table[name] ?? {}) };
    if (upstreams[name]) settings.endpoints = [...upstreams[name]];
    if (insecure.includes(name)) settings.insecure = true;
    return [name, settings];
  });
  return { ...own, ...vars, UPSTREAMS: { ...table, ...Object.fromEntries(given) } };
}

/** The mirror that this one is behind, before the relays of the variables. */
function withRelay(bindings: Record<string, unknown>, { behind }: Given): Record<string, unknown> {
  if (!behind) return bindings;
  const { url, key } = behind;
  const relays = parsed(bindings.RELAYS ?? []);
  const host = URL.parse(url)?.host;
  const keys = key === null || host === undefined ? {} : { [host]: key };
  return {
    ...bindings,
    RELAYS: [{ url, when: "always" }, ...(Array.isArray(relays) ? relays : [])],
    RELAY_KEYS: { ...tableOf(bindings.RELAY_KEYS ?? {}), ...keys },
  };
}

/** For a mirror that requires keys: the keys of the file, and the data folder's signing secret, unless variables set them. */
async function withKeys(
  bindings: Record<string, unknown>,
  { data, keyFile }: Given,
): Promise<Record<string, unknown>> {
  const { ACCESS, ACCESS_KEYS, LOOPBACK } = bindings;
  if (ACCESS === "open" || (ACCESS === undefined && LOOPBACK && ACCESS_KEYS === undefined)) return bindings;
  const list = bindings.ACCESS_KEYS === undefined && keyFile ? await readKeyFile(keyFile) : null;
  return {
    ...(list ? { ACCESS_KEYS: JSON.stringify(list) } : {}),
    ...(bindings.SIGNING_SECRET === undefined ? { SIGNING_SECRET: await keptSigningSecret(data) } : {}),
    ...bindings,
  };
}

/** The variables that name proxies, in lower case. */
export function proxiesOf({ proxy, environment = {} }: Given): Record<string, string> {
  const named = PROXY_VARIABLES.map((name) => [
    name,
    environment[name] ?? environment[name.toUpperCase()] ?? "",
  ]);
  const { no_proxy = "", ...others } = Object.fromEntries(named) as Record<string, string>;
  return { ...(proxy === undefined ? others : { all_proxy: proxy }), no_proxy };
}

function tableOf(given: unknown): Record<string, unknown> | null {
  const table = parsed(given);
  return isTable(table) ? table : null;
}

function parsed(given: unknown): unknown {
  try {
    return typeof given === "string" ? JSON.parse(given) : given;
  } catch {
    return null;
  }
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
