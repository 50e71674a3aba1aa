/** What tags were seen to name in the course of time, and which of it a request is to be served. */
import type { Digest } from "../oci/digest.ts";
import type { TagName } from "./tag-records.ts";

/** A manifest that a tag names. */
export interface NamedManifest {
  digest: Digest;
  mediaType: string;
  /** Bytes. */
  size: number;
}

/** One look at a tag. */
export interface TagSighting {
  name: TagName;
  /** Null where upstream has deleted the tag. */
  named: NamedManifest | null;
  /** Milliseconds since the epoch. */
  at: number;
}

/** What a tag named from a time on: a manifest, or nothing after it was deleted. */
export interface PastName {
  named: NamedManifest | null;
  /** When it was first seen to; milliseconds since the epoch. */
  from: number;
}

/** A digest that the operator has released: it counts as old enough from then on. */
export interface ReleasedDigest {
  digest: Digest;
  /** Milliseconds since the epoch. */
  at: number;
}

export interface TagPast {
  /** The earliest first. */
  names: readonly PastName[];
  released: readonly ReleasedDigest[];
}

/** A tag's past, by name. */
export interface TagHistoryEntry extends TagName, TagPast {
  /** When it was last seen to name the last of its `names`; milliseconds since the epoch. */
  checked: number;
}

/** A tag that was seen to name something else than before. */
export interface TagMove extends TagName {
  /** Unique, and higher for what was recorded later. */
  id: number;
  at: number;
  /** Null where upstream has deleted the tag. */
  digest: Digest | null;
  /** Null where it had been deleted. */
  before: Digest | null;
}

export interface HistoryRules {
  /** The time whose view is served; milliseconds since the epoch. */
  at: number;
  /** Milliseconds since it was first seen, below which a digest is too young. */
  cooldown: number;
  /** What to do where no digest is old enough: serve the oldest that is known, or none. */
  unknown: "serve" | "refuse";
  /** Whether the tag is served although it was deleted. */
  keep: boolean;
}

export type HistoryDecision =
  | { kind: "serve"; named: NamedManifest }
  /** `unknown`: not seen until then; `gone`: deleted by then; `young`: nothing is old enough. */
  | { kind: "unknown" | "gone" | "young" };

/** A tag that upstream has deleted. */
export interface DeletedTag extends TagName {
  /** What it named last. */
  digest: Digest;
  /** When it was found to be deleted; milliseconds since the epoch. */
  at: number;
}

/** The ledger's object, as far as it keeps the history of tags. */
export interface TagHistory {
  /** Records a sighting, if there is one, and decides what to serve. */
  decide(name: TagName, rules: HistoryRules, sighting: TagSighting | null): Promise<HistoryDecision>;
  /** The tags of a repository, by name. @param tag null for all. */
  tagHistory(
    repository: { upstream: string; repository: string },
    tag: string | null,
  ): Promise<TagHistoryEntry[]>;
  /** What moved, the latest first; so many at most. */
  moves(): Promise<TagMove[]>;
  /** The latest first; so many at most. */
  deletedTags(): Promise<DeletedTag[]>;
  /** Releases the last digest that a tag was seen to have. @returns null where none is known. */
  release(name: TagName, at: number): Promise<Digest | null>;
  /** @returns how many releases of a tag it has ended. */
  undoRelease(name: TagName): Promise<number>;
  /** The latest first. */
  releases(): Promise<(TagName & ReleasedDigest)[]>;
}

/**
 * The newest digest, as of a time, that was old enough then. A digest's age counts from when this tag was first seen to have it,
 * so that a tag that is set back to an older digest is followed at once.
 */
export function decide(
  { names, released }: TagPast,
  { at, cooldown, unknown, keep }: HistoryRules,
): HistoryDecision {
  const seen = names.filter(({ from }) => from <= at);
  const last = seen.at(-1);
  if (!last) return { kind: "unknown" };
  if (!last.named && !keep) return { kind: "gone" };
  const manifests = seen.flatMap(({ named, from }) => (named ? [{ named, from }] : []));
  const firstSeen = new Map<Digest, number>();
  for (const { named, from } of manifests) {
    if (!firstSeen.has(named.digest)) firstSeen.set(named.digest, from);
  }
  const isOldEnough = (digest: Digest) =>
    (firstSeen.get(digest) ?? at) <= at - cooldown ||
    released.some((each) => each.digest === digest && each.at <= at);
  const chosen = manifests.findLast(({ named }) => isOldEnough(named.digest)) ?? null;
  if (chosen) return { kind: "serve", named: chosen.named };
  const [oldest] = manifests;
  return oldest && unknown === "serve" ? { kind: "serve", named: oldest.named } : { kind: "young" };
}
