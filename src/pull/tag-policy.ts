/**
 * Which of the digests that a tag had is served: the present one; by COOLDOWN one that is old enough; or the one of the day that
 * a request names. It is decided here alone, where a tag becomes a digest.
 */
import { cooldownFor } from "../cooldown-settings.ts";
import { type Failure, isTransient } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import { within } from "../registry/within.ts";
import type { HistoryDecision, HistoryRules } from "../store/tag-history.ts";
import type { TagName, TagRecord } from "../store/tag-records.ts";
import type { RepositoryAccess } from "./repository-access.ts";
import { namedBy, resolveTag } from "./resolve.ts";
import type { Resolution, ResolveMode, TagRequest } from "./resolver.ts";
import type { PullServices } from "./services.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Milliseconds that a pull waits for the history. */
const PATIENCE = 5_000;

/**
 * Resolves a tag, and chooses the digest to serve. Upstream is requested in any case, so that no digest is served to a client
 * that may no longer have it.
 */
export async function resolveByPolicy(
  services: PullServices,
  access: RepositoryAccess,
  request: TagRequest,
  waitUntil: WaitUntil,
): Promise<Resolution> {
  const { tag, mode, day } = request;
  if (day !== null && Date.parse(day) > services.now())
    return refused(missing(`${day} hasn't come yet (UTC)`));
  const cooldown = cooldownFor(services.config.cooldown, `${access.upstream}/${access.repository}`);
  if (cooldown === 0 && day === null) return resolveTag(services, access, tag, mode, waitUntil);
  const resolution = await resolveTag(services, access, tag, modeFor(mode), waitUntil);
  const present = resolution.record;
  // What other sources agree on is newer than anything that is old enough.
  if (!present || isFinal(resolution)) return resolution.ok ? resolution : { ...resolution, agreed: null };
  const { upstream, repository, visibility } = access;
  const name: TagName = { upstream, repository, tag, visibility };
  // Read after the tag was resolved: what it names now has been seen by then.
  const now = services.now();
  const at = day === null ? now : Math.min(now, endOf(day));
  const rules: HistoryRules = {
    at,
    cooldown,
    unknown: services.config.cooldownUnknown,
    keep: present.gone !== undefined,
  };
  const sighting = resolution.ok ? { name, named: namedBy(present), at: present.confirmed } : null;
  let decision: HistoryDecision;
  try {
    decision = await within(PATIENCE, services.tagHistory().decide(name, rules, sighting));
  } catch (error) {
    console.warn(`the history of tags can't be read: ${error}`);
    if (day === null && rules.unknown === "serve")
      return resolution.ok ? resolution : { ...resolution, agreed: null };
    return refused({
      kind: "unavailable",
      message: "the history of tags can't be read",
      status: 0,
      retryAfter: null,
    });
  }
  if (decision.kind !== "serve") return refused(failureFor(decision.kind, name, request, cooldown));
  if (decision.named.digest === present.digest) {
    return resolution.ok ? resolution : { ...resolution, agreed: null };
  }
  const record: TagRecord = { ...present, ...decision.named };
  return resolution.ok
    ? { ok: true, record, manifest: null, change: resolution.change, isPast: true }
    : { ...resolution, record, agreed: null };
}

/** The newest manifest needn't be fetched: what it is called and how large it is says a HEAD. */
function modeFor(mode: ResolveMode): ResolveMode {
  return mode === "GET" ? "HEAD" : mode;
}

/** Whether upstream has said that there is no such tag, or that the client may not have it. */
function isFinal(resolution: Resolution): boolean {
  return !resolution.ok && !isTransient(resolution.failure.kind);
}

/** The last millisecond of a day (UTC). */
function endOf(day: string): number {
  return Date.parse(day) + DAY - 1;
}

function refused(failure: Failure): Resolution {
  return { ok: false, failure, record: null, agreed: null };
}

function failureFor(
  kind: Exclude<HistoryDecision["kind"], "serve">,
  { upstream, repository, tag }: TagName,
  { day }: TagRequest,
  cooldown: number,
): Failure {
  const image = `${upstream}/${repository}:${tag}`;
  const until = day === null ? "" : ` until the end of ${day} (UTC)`;
  const message = {
    unknown: `this mirror hasn't seen ${image}${until}: it knows what tags named from when it first pulled them`,
    gone: `${image} had been deleted upstream by ${day}`,
    young: `COOLDOWN serves nothing of ${image} that this mirror has known for less than ${Math.round(cooldown / HOUR)} hours, and that is all there was${until}: "portolan release ${image}" lets it through`,
  }[kind];
  return missing(message);
}

function missing(message: string): Failure {
  return { kind: "missing", message, status: 404, retryAfter: null };
}
