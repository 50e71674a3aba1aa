/** The history of tags, as the owner sees it. */
import type { Config } from "../config.ts";
import type { Digest } from "../oci/digest.ts";
import { RegistryError } from "../oci/errors.ts";
import { isTag } from "../oci/names.ts";
import type { TagHistory, TagHistoryEntry } from "../store/tag-history.ts";
import type { TagName } from "../store/tag-records.ts";
import { repositoryOn } from "../upstream/registries.ts";

export interface HistoryServices {
  config: Pick<Config, "upstream" | "defaultUpstream">;
  tagHistory: () => TagHistory;
}

/** A digest that a tag had; null while it was deleted upstream. */
interface Spell {
  digest: Digest | null;
  /** ISO 8601. */
  from: string;
  /** When it was seen to name something else; of the last, when it was last seen. */
  to: string;
  isCurrent: boolean;
}

export interface ShownHistory extends TagName {
  /** The latest first. */
  history: Spell[];
}

/**
 * What the tags of a repository were seen to name.
 * @param text `[upstream/]repository[:tag]`
 * @throws RegistryError 400
 */
export async function historyOf(services: HistoryServices, text: string): Promise<ShownHistory[]> {
  const { tag, ...repository } = imageOf(services, text);
  return (await services.tagHistory().tagHistory(repository, tag)).map(shown);
}

function shown({ names, released: _, checked, ...name }: TagHistoryEntry): ShownHistory {
  const history = names.map(({ named, from }, index): Spell => {
    const next = names[index + 1];
    return {
      digest: named?.digest ?? null,
      from: new Date(from).toISOString(),
      to: new Date(next?.from ?? Math.max(from, checked)).toISOString(),
      isCurrent: next === undefined,
    };
  });
  return { ...name, history: history.reverse() };
}

/** The image that a path names, as `docker pull` reads it. @throws RegistryError 400 */
function imageOf(
  { config }: Pick<HistoryServices, "config">,
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
