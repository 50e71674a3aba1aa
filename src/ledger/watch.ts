/** Watching tags: those that are in use are revalidated by HEAD now and then, and what they newly name is fetched ahead. */
import type { Caller, Gate } from "../access/gate.ts";
import { matchesAny } from "../access/patterns.ts";
import type { Config } from "../config.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { readManifest } from "../oci/manifest.ts";
import { platformName } from "../oci/platform.ts";
import { accessForFill, type RepositoryAccess } from "../pull/repository-access.ts";
import type { Resolution } from "../pull/resolver.ts";
import { type WarmServices, warm } from "../pull/warm.ts";
import type { TagName } from "../store/tag-records.ts";
import type { Pins } from "./pins.ts";
import type { Recalls } from "./recalls.ts";

/** A tag that is watched. */
export interface WatchedTag extends TagName {
  /** The digest whose content has been fetched ahead; "" before that was done. */
  done: string;
  /** The digest that is being fetched ahead; "" for none. */
  doing: string;
  /** How many of its blobs are known to be stored. */
  cursor: number;
  /** Digests that it named and clients pulled, the latest first. */
  used: Digest[];
}

/** How far a look at a tag came. */
export type WatchResult = TagName & Pick<WatchedTag, "done" | "doing" | "cursor">;

export interface WatchChoice {
  /** Tags that were pulled since; milliseconds since the epoch. */
  since: number;
  /** And those of these images, whenever they were pulled. */
  pin: readonly string[];
  most: number;
}

/** The ledger's object. */
export interface WatchLedger {
  /** Tags to watch, those first that weren't looked at for longest. */
  watched(choice: WatchChoice): Promise<WatchedTag[]>;
  noteWatched(results: readonly WatchResult[], at: number): Promise<void>;
  /** Which of some digests clients have pulled. */
  usedAmong(digests: readonly Digest[]): Promise<Digest[]>;
}

export interface WatchServices extends WarmServices {
  config: Pick<Config, "watch" | "private" | "access" | "upstream">;
  gate: Pick<Gate, "admit">;
  recalls: Pick<Recalls, "refresh" | "isRecalled">;
  pins: Pick<Pins, "patterns">;
  readonly ledger: WatchLedger;
  /** Milliseconds since the epoch. */
  now: () => number;
}

export interface WatchOptions {
  /** Milliseconds between two tags, so that no registry takes it for a flood. */
  pause: number;
  /** Milliseconds between two looks at fills. */
  look: number;
  /** Milliseconds after which no further tag is begun. */
  time: number;
}

const WATCH_OPTIONS: WatchOptions = { pause: 1_000, look: 1_000, time: 10 * 60_000 };

export interface WatchReport {
  tags: number;
  /** Images that were fetched ahead to their end. */
  fetched: number;
  /** Upstreams that limit requests. */
  limited: string[];
}

/** Tags of one run, and calls of the platform's services that one takes. */
const MOST = 300;
const CALLS_OF_A_LOOK = 1;
/** Calls that a run makes besides. */
const CALLS_OF_A_RUN = 3;

/**
 * Looks at the tags that are due, one after the other, and stops for an upstream at its first limit. Where the calls of one run are
 * limited, the next runs go on with the other tags and with what isn't fetched yet.
 */
export async function watch(services: WatchServices, options = WATCH_OPTIONS): Promise<WatchReport> {
  const { config, ledger, recalls, now, storeReads } = services;
  const report: WatchReport = { tags: 0, fetched: 0, limited: [] };
  if (config.watch === null) return report;
  const started = now();
  const calls = { left: storeReads - CALLS_OF_A_RUN };
  await recalls.refresh();
  const choice = {
    since: started - config.watch,
    pin: await services.pins.patterns(),
    most: Math.min(MOST, storeReads),
  };
  const results: WatchResult[] = [];
  for (const tag of await ledger.watched(choice)) {
    if (calls.left < CALLS_OF_A_LOOK || now() - started > options.time) break;
    if (report.limited.includes(tag.upstream) || !isOpen(services, tag)) continue;
    if (report.tags > 0) await pause(options.pause);
    report.tags++;
    const result = await look(services, tag, calls, options);
    if (result === "limited") {
      report.limited.push(tag.upstream);
      continue;
    }
    results.push(result);
    if (result.done !== tag.done) report.fetched++;
  }
  await ledger.noteWatched(results, now());
  return report;
}

/** Whether the mirror serves a repository, and may request it with no user's login. */
function isOpen({ config, gate }: WatchServices, { upstream, repository, visibility }: WatchedTag): boolean {
  const name = `${upstream}/${repository}`;
  if (!config.upstream(upstream)) return false;
  if (visibility === "private" && !matchesAny(config.private, name)) return false;
  try {
    gate.admit(ownerOf(config), name);
    return true;
  } catch (error) {
    if (error instanceof RegistryError) return false;
    throw error;
  }
}

/** The owner may have what the holder of a key that opens everything may. */
export function ownerOf({ access }: Pick<Config, "access">): Caller {
  const key = {
    name: "owner",
    hash: "",
    allow: [],
    deny: [],
    push: [],
    delete: [],
    expires: null,
    rate: null,
  };
  return { key: access === "keys" ? key : null, login: null };
}

async function look(
  services: WatchServices,
  tag: WatchedTag,
  calls: { left: number },
  options: WatchOptions,
): Promise<WatchResult | "limited"> {
  const { upstream, repository, visibility, done, doing, cursor } = tag;
  const name: TagName = { upstream, repository, tag: tag.tag, visibility };
  const access = accessForFill({ upstream, repository, visibility, via: "" });
  const unchanged = { ...name, done, doing, cursor };
  calls.left -= CALLS_OF_A_LOOK;
  let resolution: Resolution;
  try {
    resolution = await services.resolverOf(access).resolve(access, tag.tag, "HEAD");
  } catch (error) {
    console.warn(`${upstream}/${repository}:${tag.tag} can't be watched: ${error}`);
    return unchanged;
  }
  if (!resolution.ok) return resolution.failure.kind === "limited" ? "limited" : unchanged;
  const { digest } = resolution.record;
  if (digest === done || services.recalls.isRecalled(digest)) return unchanged;
  try {
    return { ...name, ...(await fetchAhead(services, access, tag, digest, calls, options)) };
  } catch (error) {
    console.warn(`${digest} of ${upstream}/${repository} can't be fetched ahead: ${error}`);
    return error instanceof RegistryError && error.status === 429 ? "limited" : unchanged;
  }
}

/** Fetches the platforms that clients have pulled of the tag. */
async function fetchAhead(
  services: WatchServices,
  access: RepositoryAccess,
  { used, done, doing, cursor: before }: WatchedTag,
  digest: Digest,
  calls: { left: number },
  { look, time }: WatchOptions,
): Promise<Pick<WatchResult, "done" | "doing" | "cursor">> {
  const platforms = await platformsPulled(services, access, used, calls);
  const isDone = { done: digest, doing: "", cursor: 0 };
  // Of an index no platform of which was ever pulled, there is nothing to fetch.
  if (platforms === null) return isDone;
  const started = services.now();
  const isRefused = services.recalls.isRecalled.bind(services.recalls);
  const isLimited = Number.isFinite(calls.left);
  let cursor = doing === digest ? before : 0;
  while (calls.left > 0) {
    const options = { platforms, cursor, isRefused, ...(isLimited && { parallel: calls.left }) };
    const state = await warm({ ...services, storeReads: calls.left }, access, digest, options);
    calls.left -= state.calls;
    if (state.isDone) return isDone;
    cursor = state.cursor;
    // What is requested is filled without this run, and the next one sees to the rest.
    if (isLimited || state.blobs.filling === 0 || services.now() - started > time) break;
    await pause(look);
  }
  return { done, doing: digest, cursor };
}

/** Names of the platforms that were pulled of any of some images; empty for all, null where no platform was. */
async function platformsPulled(
  services: WatchServices,
  access: RepositoryAccess,
  images: readonly Digest[],
  calls: { left: number },
): Promise<string[] | null> {
  let hasIndex = false;
  const platforms = new Set<string>();
  for (const image of images) {
    calls.left--;
    const fetched = await services.resolverOf(access).fetchManifest(access, image);
    const manifest = fetched.ok ? readManifest(fetched.manifest.bytes) : null;
    if (manifest?.kind !== "index") continue;
    hasIndex = true;
    calls.left--;
    const used = await services.ledger.usedAmong(manifest.manifests.map(({ digest }) => digest));
    for (const { platform, digest } of manifest.manifests) {
      if (platform && used.includes(digest)) platforms.add(platformName(platform));
    }
    if (platforms.size > 0) break;
  }
  if (!hasIndex) return [];
  return platforms.size > 0 ? [...platforms] : null;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
