/** Bindings and variables, checked once into a strict Config, so that nothing behind this file meets a wrong one. */
import * as v from "valibot";
import type { GateSettings } from "./access/gate.ts";
import { isImagePattern } from "./access/image-patterns.ts";
import { pattern, readKey, writtenKeys } from "./access/key-list.ts";
import {
  bytes,
  contact,
  docsUrl,
  domainName,
  duration,
  label,
  list,
  onOff,
  ownerName,
  parseJson,
  seconds,
  table,
  upstreamTable,
} from "./config-values.ts";
import { type Cooldown, cooldowns } from "./cooldown-settings.ts";
import type { HostedSettings } from "./hosted-settings.ts";
import { quorumFaults, tagQuorums } from "./quorum-settings.ts";
import { isLoopback } from "./registry/addresses.ts";
import type { Environment } from "./registry/proxies.ts";
import { isLocal } from "./registry/redirects.ts";
import type { Credential } from "./registry/registry.ts";
import { relayKeys, relayList, relaysOf } from "./relay-settings.ts";
import { retentionRules } from "./retention-settings.ts";
import type { TagQuorum } from "./upstream/quorum.ts";
import { REGISTRIES, type Upstream, type UpstreamSettings } from "./upstream/registries.ts";
import type { Relay } from "./upstream/relays.ts";
import { webhookSecret, webhooks } from "./webhook-settings.ts";

export interface Config extends GateSettings {
  /** Base of host routing: `docker.<domain>`; null turns it off. */
  domain: string | null;
  /** Host names that are accepted besides loopback ones and `domain` with all below it; null accepts any. */
  hosts: readonly string[] | null;
  /** For names without an upstream. */
  defaultUpstream: Upstream;
  /**
   * Finds an upstream by its name, its name with hyphens for dots, or an alias with a dot; null if there is none. A member of
   * a family has no spelling with hyphens: `acme-gcr-io` may be a Docker Hub user.
   */
  upstream(name: string): Upstream | null;
  /** Finds an upstream by a host label under `domain`: an alias, or its name with hyphens for dots, a family's member too. */
  upstreamByLabel(label: string): Upstream | null;
  /** Every name, sorted, for messages. */
  upstreamNames: readonly string[];
  /** Whether the operator's own UPSTREAMS name a URL's host, as an endpoint or a realm. */
  isOperators(url: URL): boolean;
  /** Seconds for which a stored tag is served without revalidation. */
  tagTtl: number;
  /** Seconds since its last confirmation after which a tag is no longer served when upstream fails. */
  staleMax: number;
  /** How old digests have to be before tags are served with them; the first pattern that matches counts. */
  cooldown: readonly Cooldown[];
  /** What a tag is served with while no digest is old enough: the oldest that is known, or none. */
  cooldownUnknown: "serve" | "refuse";
  /** Patterns of repositories whose public tags are served on after upstream has deleted them. */
  keep: readonly string[];
  /** Where it is sent which tags moved, and the key that it is signed with. */
  webhooks: { urls: readonly URL[]; secret: Uint8Array<ArrayBuffer> | null };
  /** Whether a body that breaks off is resumed; see `pull/resumable-stream.ts`. */
  resume: boolean;
  /** Whether stored public blobs are served through Workers Cache. */
  layerCache: boolean;
  hosted: HostedSettings;
  relays: readonly Relay[];
  /** By upstream's name. */
  tagQuorums: Readonly<Record<string, TagQuorum>>;
  /** The secret that the owner's requests carry; null refuses them all. */
  adminKey: string | null;
  /** Whose mirror it is, for its page; null leaves that out. */
  owner: string | null;
  /** Where to write to its owner; null where that isn't said. */
  contact: URL | null;
  /** Where the documentation is read, for links on the owner's page; null leaves them out. */
  docs: URL | null;
  /** Whether the page at `/` says how much the mirror serves and saves. */
  publicSummary: boolean;
  /** The variables that name proxies, where the mirror can use them. */
  proxies: Environment;
  /** Bytes under which the store is kept. */
  cacheLimit: number;
  /** Bytes of the disk that stay free of cached content, where the store is on one; null for the default. */
  minFree: number | null;
  /** Patterns of images that are never evicted. */
  pin: readonly string[];
  /** Milliseconds: tags that were pulled within them are revalidated by themselves, and pinned ones; null turns it off. */
  watch: number | null;
  /** Cloudflare's plan: on the free one, optional work stops short of the daily quotas. */
  plan: "free" | "paid";
  /** The operator's logins by upstream's name. */
  credentials: Readonly<Record<string, readonly Credential[]>>;
  /** Patterns of repositories that `credentials` open to the holders of keys, although anonymous clients may not pull them. */
  private: readonly string[];
}

/** Says in one message everything that is wrong with the configuration. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  constructor(faults: readonly string[]) {
    super(`the configuration can't be used:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
  }
}

const SHAPE_OF_CREDENTIALS = 'must have the form {"docker.io":[{"username":"…","password":"…"}]}';

/** None of its messages may hold what it is about: they go to the log, and to every client of a mirror that can't start. */
const credentials = v.pipe(
  table(SHAPE_OF_CREDENTIALS),
  v.record(
    v.string(),
    v.array(
      v.strictObject(
        { username: v.string(SHAPE_OF_CREDENTIALS), password: v.string(SHAPE_OF_CREDENTIALS) },
        SHAPE_OF_CREDENTIALS,
      ),
      SHAPE_OF_CREDENTIALS,
    ),
    SHAPE_OF_CREDENTIALS,
  ),
);
const patterns = v.pipe(list("must be a list of patterns"), v.array(pattern));
const IMAGE = "must be a pattern such as docker.io/library/alpine:3 or ghcr.io/team/*";
const imagePatterns = v.pipe(
  list("must be a list of patterns of images"),
  v.array(v.pipe(v.string(IMAGE), v.check(isImagePattern, IMAGE))),
);
/** None of its messages may hold what it is about. */
const accessKeys = v.pipe(
  v.unknown(),
  v.transform((given) => (typeof given === "string" ? parseJson(given) : given)),
  writtenKeys,
  v.transform((keys) => keys.map(readKey)),
);
const SHAPE_OF_SECRET = "must be text of 32 characters at least that can't be guessed";
const variables = v.object({
  DOMAIN: v.optional(v.union([v.literal(""), domainName], "must be a lower-case host name"), ""),
  HOSTS: v.optional(v.pipe(list("must be a list of host names"), v.array(domainName)), []),
  /** Set by `npm start` alone: only this machine reaches the mirror. */
  LOOPBACK: v.optional(v.union([v.literal(true), v.literal("true")], "is set by npm start")),
  /** Set by `npm start` alone, which has a way through them. */
  PROXIES: v.optional(v.pipe(table("is set by npm start"), v.record(v.string(), v.string()))),
  DEFAULT_UPSTREAM: v.optional(v.string(), "docker.io"),
  UPSTREAMS: v.optional(upstreamTable, {}),
  TAG_TTL: v.optional(seconds, 300),
  STALE_MAX: v.optional(seconds, 30 * 24 * 3600),
  COOLDOWN: v.optional(cooldowns, {}),
  COOLDOWN_UNKNOWN: v.optional(v.picklist(["serve", "refuse"], "must be serve or refuse"), "serve"),
  KEEP: v.optional(patterns, []),
  WEBHOOKS: v.optional(webhooks, []),
  WEBHOOK_SECRET: v.optional(webhookSecret),
  CACHE_LIMIT: v.optional(bytes, "9.5 GB"),
  MIN_FREE: v.optional(bytes),
  PIN: v.optional(imagePatterns, []),
  PLAN: v.optional(v.picklist(["free", "paid"], "must be free or paid"), "free"),
  WATCH: v.optional(v.union([v.literal(""), duration], "must be a time such as 7d"), ""),
  RESUME: v.optional(onOff, true),
  LAYER_CACHE: v.optional(onOff, false),
  HOSTED_PATH: v.optional(label, "hosted"),
  HOSTED_HOST: v.optional(label, "registry"),
  HOSTED_PUBLIC: v.optional(patterns, []),
  HOSTED_IMMUTABLE: v.optional(patterns, []),
  HOSTED_QUOTA: v.optional(v.pipe(table("must be a table or a JSON object"), v.record(pattern, bytes)), {}),
  HOSTED_RETENTION: v.optional(retentionRules, {}),
  HOSTED_SPARSE: v.optional(onOff, false),
  ADMIN_KEY: v.optional(v.pipe(v.string(SHAPE_OF_SECRET), v.minLength(32, SHAPE_OF_SECRET))),
  OWNER: v.optional(ownerName, ""),
  CONTACT: v.optional(contact),
  DOCS_URL: v.optional(docsUrl),
  PUBLIC_SUMMARY: v.optional(onOff, false),
  RELAYS: v.optional(relayList, []),
  RELAY_KEYS: v.optional(relayKeys, {}),
  TAG_QUORUM: v.optional(tagQuorums, {}),
  UPSTREAM_CREDENTIALS: v.optional(credentials, {}),
  ACCESS: v.optional(v.picklist(["open", "keys"], "must be open or keys")),
  ACCESS_KEYS: v.optional(accessKeys, []),
  ALLOW: v.optional(patterns, []),
  DENY: v.optional(patterns, []),
  PRIVATE: v.optional(patterns, []),
  SIGNING_SECRET: v.optional(v.pipe(v.string(SHAPE_OF_SECRET), v.minLength(32, SHAPE_OF_SECRET))),
});

/** Names of all variables that an operator may set. */
export const VARIABLES: readonly string[] = Object.keys(variables.entries).filter(
  (name) => name !== "LOOPBACK" && name !== "PROXIES",
);

/**
 * Reads the configuration from the Worker's environment.
 * @throws ConfigError naming every variable that can't be used.
 */
export function readConfig(env: object): Config {
  const parsed = v.safeParse(variables, env);
  if (!parsed.success) {
    throw new ConfigError(
      parsed.issues.map((issue) => {
        const path = v.getDotPath(issue) ?? "";
        // A password or a key in the wrong place could be part of the path.
        const name = /^(UPSTREAM_CREDENTIALS|RELAY_KEYS|ACCESS_KEYS(\.\d+)?)/.exec(path)?.[0] ?? path;
        return `${name}: ${issue.message}`;
      }),
    );
  }
  const { DOMAIN, DEFAULT_UPSTREAM, UPSTREAMS, TAG_TTL, UPSTREAM_CREDENTIALS, HOSTS, LOOPBACK } =
    parsed.output;
  const upstreams = [
    ...Object.keys(REGISTRIES).filter((name) => !UPSTREAMS[name]),
    ...Object.keys(UPSTREAMS),
  ].map((name) => settle(name, REGISTRIES[name], UPSTREAMS[name], TAG_TTL));
  const families = upstreams.filter(({ name }) => name.startsWith("*"));
  const single = upstreams.filter(({ name }) => !name.startsWith("*"));
  // What comes later counts: the operator's upstreams, and names, whose place no alias or spelling with hyphens can take.
  const byName = new Map([
    ...single.flatMap((u) =>
      u.aliases.filter((alias) => alias.includes(".")).map((alias) => [alias, u] as const),
    ),
    ...single.map((u) => [hyphenated(u.name), u] as const),
    ...single.map((u) => [u.name, u] as const),
  ]);
  const byLabel = new Map(single.flatMap((u) => u.aliases.map((alias) => [alias, u] as const)));

  const find = (name: string): Upstream | null => byName.get(name) ?? memberAmong(families, name);
  const defaultUpstream = find(DEFAULT_UPSTREAM);
  if (!defaultUpstream) throw new ConfigError([`DEFAULT_UPSTREAM: no upstream is named ${DEFAULT_UPSTREAM}`]);
  if (Object.keys(UPSTREAM_CREDENTIALS).some((name) => find(name)?.name !== name)) {
    throw new ConfigError(["UPSTREAM_CREDENTIALS: names an upstream that isn't known by that name"]);
  }
  const access = accessOf(parsed.output);
  const { relays, faults: relayFaults } = relaysOf(parsed.output.RELAYS, parsed.output.RELAY_KEYS);
  const unknown = relays.flatMap(({ upstreams }) => upstreams).filter((name) => find(name)?.name !== name);
  const faults = [
    ...accessFaults(parsed.output, access),
    ...relayFaults,
    ...quorumFaults(parsed.output.TAG_QUORUM, find),
    ...unknown.map((name) => `RELAYS: no upstream is named ${name}`),
  ];
  if (faults.length > 0) throw new ConfigError(faults);
  return {
    domain: DOMAIN || null,
    hosts: LOOPBACK || HOSTS.length > 0 ? HOSTS : null,
    defaultUpstream,
    upstream: find,
    upstreamByLabel: (label) => find(label) ?? byLabel.get(label) ?? memberAmong(families, label, hyphenated),
    isOperators: operatorsHosts(
      upstreams.filter(({ name }) => UPSTREAMS[name]),
      relays,
    ),
    upstreamNames: upstreams.map(({ name }) => name).sort(),
    tagTtl: TAG_TTL,
    staleMax: parsed.output.STALE_MAX,
    cooldown: parsed.output.COOLDOWN,
    keep: parsed.output.KEEP,
    webhooks: { urls: parsed.output.WEBHOOKS, secret: parsed.output.WEBHOOK_SECRET ?? null },
    cooldownUnknown: parsed.output.COOLDOWN_UNKNOWN,
    relays,
    tagQuorums: parsed.output.TAG_QUORUM,
    adminKey: parsed.output.ADMIN_KEY ?? null,
    owner: parsed.output.OWNER || null,
    contact: parsed.output.CONTACT ?? null,
    docs: parsed.output.DOCS_URL ?? null,
    publicSummary: parsed.output.PUBLIC_SUMMARY,
    proxies: parsed.output.PROXIES ?? {},
    hosted: {
      path: parsed.output.HOSTED_PATH,
      host: parsed.output.HOSTED_HOST,
      isOpen: access === "open" && LOOPBACK !== undefined,
      public: parsed.output.HOSTED_PUBLIC,
      immutable: parsed.output.HOSTED_IMMUTABLE,
      quota: Object.entries(parsed.output.HOSTED_QUOTA).map(([pattern, bytes]) => ({ pattern, bytes })),
      retention: parsed.output.HOSTED_RETENTION,
      sparse: parsed.output.HOSTED_SPARSE,
    },
    cacheLimit: parsed.output.CACHE_LIMIT,
    minFree: parsed.output.MIN_FREE ?? null,
    pin: parsed.output.PIN,
    watch: parsed.output.WATCH || null,
    plan: parsed.output.PLAN,
    resume: parsed.output.RESUME,
    layerCache: parsed.output.LAYER_CACHE,
    credentials: UPSTREAM_CREDENTIALS,
    access,
    keys: parsed.output.ACCESS_KEYS,
    allow: parsed.output.ALLOW,
    deny: parsed.output.DENY,
    private: parsed.output.PRIVATE,
    signingSecret: signingSecretOf(parsed.output),
  };
}

type Variables = v.InferOutput<typeof variables>;

/** Closed unless ACCESS says otherwise, or the mirror has no keys and only this machine can reach it. */
function accessOf({ ACCESS, ACCESS_KEYS, LOOPBACK }: Variables): Config["access"] {
  return ACCESS ?? (LOOPBACK && ACCESS_KEYS.length === 0 ? "open" : "keys");
}

/** A mirror that was deployed by the button has the one secret that its owner typed in: tokens are then signed with a text made of it. */
function signingSecretOf({ SIGNING_SECRET, ADMIN_KEY }: Variables): string | null {
  return SIGNING_SECRET ?? (ADMIN_KEY === undefined ? null : `access tokens signed for ${ADMIN_KEY}`);
}

/** What doesn't go together. */
function accessFaults(given: Variables, access: Config["access"]): string[] {
  const { ACCESS_KEYS, PRIVATE, DOMAIN, UPSTREAMS, UPSTREAM_CREDENTIALS, PROXIES } = given;
  const faults: string[] = [];
  if (PROXIES !== undefined && given.LAYER_CACHE) {
    faults.push("LAYER_CACHE: works on Cloudflare only; one machine has its files at hand");
  }
  if (PROXIES === undefined && Object.values(UPSTREAMS).some(({ proxy }) => proxy !== undefined)) {
    faults.push("UPSTREAMS: proxy works with npm start only; a deployed mirror has no way through one");
  }
  if (access === "keys" && ACCESS_KEYS.length > 0 && signingSecretOf(given) === null) {
    faults.push("SIGNING_SECRET: is needed beside ACCESS_KEYS; `npm run deploy` makes one");
  }
  if (access === "open" && PRIVATE.length > 0) {
    faults.push("PRIVATE: would make private images public on an open mirror; set ACCESS to keys");
  }
  if (DOMAIN === "" && Object.values(UPSTREAMS).some(({ login }) => login === true)) {
    faults.push(
      "UPSTREAMS: login needs DOMAIN, because logins are passed through on an upstream's own host only",
    );
  }
  for (const [name, { endpoints: [primary] = [], login }] of Object.entries(UPSTREAMS)) {
    if (primary === undefined || primary.protocol === "https:" || isLoopback(primary)) continue;
    if (UPSTREAM_CREDENTIALS[name]) {
      faults.push(`UPSTREAM_CREDENTIALS: would go to ${primary.origin} without encryption; use https`);
    }
    if (login === true) {
      faults.push(
        `UPSTREAMS.${name}.login: users' passwords would go to ${primary.origin} without encryption; use https`,
      );
    }
  }
  return faults;
}

/** The first family's member that a name stands for. @param spell how `name` writes the family's own part. */
function memberAmong(
  families: readonly Upstream[],
  name: string,
  spell = (parent: string) => parent,
): Upstream | null {
  return families.map((family) => memberOf(family, name, spell)).find((member) => member !== null) ?? null;
}

/** The upstream of a family that a name stands for: `us-docker.pkg.dev` of `*.pkg.dev`. */
function memberOf(family: Upstream, name: string, spell = (parent: string) => parent): Upstream | null {
  const parent = family.name.slice(1);
  const suffix = spell(parent);
  const label = name.endsWith(suffix) ? name.slice(0, -suffix.length) : "";
  if (!/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(label)) return null;
  return { ...family, name: label + parent, endpoints: [new URL(`https://${label}${parent}`)] };
}

/** What the operator's upstreams are reached by: their endpoints and realms; for one on this machine, all of the machine; and relays. */
function operatorsHosts(upstreams: readonly Upstream[], relays: readonly Relay[]): Config["isOperators"] {
  const hosts = new Set([
    ...upstreams.flatMap(({ endpoints, realms }) => [...endpoints.map(({ host }) => host), ...realms]),
    ...relays.map(({ url }) => url.host),
  ]);
  const families = upstreams.filter(({ name }) => name.startsWith("*"));
  const hasLocal = upstreams.some(isLocal);
  return (url) =>
    hosts.has(url.host) ||
    (hasLocal && isLoopback(url)) ||
    families.some((family) => memberOf(family, url.host) !== null);
}

/** `registry.k8s.io` → `registry-k8s-io`, for clients that can't carry a dot in the first component. */
export function hyphenated(name: string): string {
  return name.replaceAll(".", "-");
}

type GivenSettings = Variables["UPSTREAMS"][string];

/** Merges the operator's settings of an upstream over the built-in settings; each setting replaces the built-in one. */
function settle(
  name: string,
  builtIn: UpstreamSettings = {},
  given: GivenSettings = {},
  tagTtl: number,
): Upstream {
  return {
    name,
    aliases: given.aliases ?? builtIn.aliases ?? [],
    endpoints: given.endpoints ?? (builtIn.endpoints ?? [`https://${name}`]).map((text) => new URL(text)),
    realms: given.realms ?? builtIn.realms ?? [],
    tagTtl: given.tagTtl ?? builtIn.tagTtl ?? tagTtl,
    login: given.login ?? builtIn.login ?? false,
    ...(given.proxy === undefined ? {} : { proxy: given.proxy }),
  };
}
