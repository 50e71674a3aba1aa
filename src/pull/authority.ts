/** As whom upstream is asked on a caller's behalf; decided before anything that is held can answer. */
import type { Caller } from "../access/gate.ts";
import { matchesAny } from "../access/patterns.ts";
import { MANIFEST_ACCEPT } from "../oci/mediatypes.ts";
import { isWithinNetwork } from "../registry/addresses.ts";
import { type Failure, failureOf, isTransient } from "../registry/failure.ts";
import type { WaitUntil } from "../registry/wait-until.ts";
import type { Ask, Target } from "../routing/target.ts";
import type { Upstream } from "../upstream/registries.ts";
import { ANONYMOUS, type Identity } from "../upstream/request.ts";
import { unlink } from "./holdings.ts";
import type { Mirror } from "./mirror.ts";
import type { Place } from "./place.ts";
import { type Asker, refusal, type Wanted } from "./refusal.ts";

/**
 * Public content is everybody's, whoever asks. What isn't public is asked for with the caller's own login on a host that
 * passes logins through, or with the operator's where PRIVATE opens it to the holders of keys; either way only after
 * upstream has confirmed within the last minutes that this login is let in.
 *
 * @throws RegistryError where it isn't, or where that can't be found out. Only the operator's own login is trusted while
 *   upstream fails: whom it opens held content to is for this mirror's keys to say.
 */
export async function authorityFor(
  mirror: Mirror,
  caller: Caller,
  { upstream, repository, ask }: Target,
  asker: Asker,
  background: WaitUntil,
): Promise<Identity> {
  const claimed = claimOf(mirror, caller, upstream, repository);
  if (claimed.kind === "anonymous") return ANONYMOUS;
  const path = pathOf(ask);
  // Some registries have no manifest for whoever doesn't accept its type, and would seem to have none for anybody.
  const accepting = path.startsWith("manifests/") ? { accept: MANIFEST_ACCEPT } : {};
  const question = { upstream, repository, path, via: asker.via, ...accepting };
  if (!isWithinNetwork(upstream) && (await mirror.upstream.isPublic(question, background))) return ANONYMOUS;
  try {
    await mirror.upstream.authorize({ ...question, identity: claimed }, background);
  } catch (error) {
    const failure = failureOf(error);
    const isOwner = claimed.kind === "operator";
    if (isOwner && isTransient(failure.kind)) return claimed;
    if (isOwner) await takeBack(mirror, { upstream: upstream.name, repository }, ask, failure);
    throw refusal(failure, wantedOf(ask), asker);
  }
  return claimed;
}

/**
 * Ends what upstream has just taken from the operator: what was asked for, and where the repository itself is denied, all
 * that is held for it. Else it would come back as soon as upstream is down. A store that is itself out of order can't give
 * it out either.
 */
async function takeBack(
  mirror: Mirror,
  place: Pick<Place, "upstream" | "repository">,
  ask: Ask,
  { kind }: Failure,
): Promise<void> {
  const reference = ask.kind === "manifest" ? ask.reference : ask;
  try {
    if ("tag" in reference) {
      const name = { ...place, tag: reference.tag, sphere: "restricted" as const };
      await mirror.tags.end(name, await mirror.tags.read(name));
    }
    if (kind === "denied") await unlink(mirror, place, null);
    else if ("digest" in reference) await unlink(mirror, place, reference.digest);
  } catch (error) {
    console.warn(`what is held of ${place.upstream}/${place.repository} can't be taken back: ${error}`);
  }
}

function claimOf(mirror: Mirror, { key, login }: Caller, upstream: Upstream, repository: string): Identity {
  if (login !== null) return { kind: "user", authorization: login };
  if (!key) return ANONYMOUS;
  const isPrivate =
    isWithinNetwork(upstream) || matchesAny(mirror.config.private, `${upstream.name}/${repository}`);
  return isPrivate ? { kind: "operator" } : ANONYMOUS;
}

function wantedOf({ kind }: Ask): Wanted {
  return kind === "manifest" || kind === "blob" ? kind : "listing";
}

function pathOf(ask: Ask): string {
  switch (ask.kind) {
    case "manifest":
      return `manifests/${"digest" in ask.reference ? ask.reference.digest : ask.reference.tag}`;
    case "blob":
      return `blobs/${ask.digest}`;
    case "referrers":
      return `manifests/${ask.digest}`;
    case "tags":
      return "tags/list";
  }
}
