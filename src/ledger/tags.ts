/** The history of tags, as the owner sees it. */
import { matchesAny } from "../access/patterns.ts";
import type { Config } from "../config.ts";
import { cooldownFor } from "../cooldown-settings.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { isTag } from "../oci/names.ts";
import { decide, type TagHistory, type TagHistoryEntry } from "../store/tag-history.ts";
import type { TagName } from "../store/tag-records.ts";
import { repositoryOn } from "../upstream/registries.ts";

export interface HistoryServices {
  config: Pick<Config, "upstream" | "defaultUpstream" | "cooldown" | "cooldownUnknown" | "keep">;
  tagHistory: () => TagHistory;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** A digest that a tag had; null while it was deleted upstream. */
interface Spell {
  digest: Digest | null;
  /** ISO 8601. */
  from: string;
  /** When it was seen to name something else; of the last, when it was last seen. */
  to: string;
  isCurrent: boolean;
  isReleased: boolean;
}

export interface ShownHistory extends TagName {
  /** The latest first. */
  history: Spell[];
  /** The digest that a pull of the tag would now get; null for none. */
  served: Digest | null;
}

/**
 * What the tags of a repository were seen to name.
 * @param text `[upstream/]repository[:tag]`
 * @throws RegistryError 400
 */
export async function historyOf(services: HistoryServices, text: string): Promise<ShownHistory[]> {
  const { tag, ...repository } = imageOf(services, text);
  const entries = await services.tagHistory().tagHistory(repository, tag);
  const { cooldown, cooldownUnknown: unknown, keep } = services.config;
  const full = `${repository.upstream}/${repository.repository}`;
  const rules = { at: services.now(), cooldown: cooldownFor(cooldown, full), unknown };
  const isKept = matchesAny(keep, full);
  return entries.map((entry) => {
    const decision = decide(entry, { ...rules, keep: isKept && entry.visibility === "public" });
    return { ...shown(entry), served: decision.kind === "serve" ? decision.named.digest : null };
  });
}

function shown({ names, released, checked, ...name }: TagHistoryEntry): Omit<ShownHistory, "served"> {
  const history = names.map(({ named, from }, index): Spell => {
    const next = names[index + 1];
    return {
      digest: named?.digest ?? null,
      from: new Date(from).toISOString(),
      to: new Date(next?.from ?? Math.max(from, checked)).toISOString(),
      isCurrent: next === undefined,
      isReleased: released.some(({ digest }) => digest === named?.digest),
    };
  });
  return { ...name, history: history.reverse() };
}

/** The image that a path names, as `docker pull` reads it. @throws RegistryError 400 */
export function imageOf(
  { config }: { config: Pick<Config, "upstream" | "defaultUpstream"> },
  text: string,
): { upstream: string; repository: string; tag: string | null } {
  const [, path = "", tag = null] = /^(.*?)(?::([^:/]*))?$/s.exec(text) ?? [];
  const [first = ""] = path.split("/", 1);
  const named = config.upstream(first);
  const upstream = named ?? config.defaultUpstream;
  const name = named ? path.slice(first.length + 1) : path;
  if (name === "" || (tag !== null && !isTag(tag))) {
    throw new RegistryError(
      400,
      "NAME_INVALID",
      "the path ends with an image, such as docker.io/library/alpine:3",
    );
  }
  return { upstream: upstream.name, repository: repositoryOn(upstream, name), tag };
}
