/** From what a list's entry means to the images that registries have for it. */

import { type RegistryClient, remoteOf } from "../registry/client.ts";
import { formatReference, type ImageReference, parseAsWritten } from "../registry/reference.ts";
import { isPattern, newestOf, type Pattern, pattern } from "./patterns.ts";
import type { Entry } from "./sync-list.ts";

export interface Pair {
  source: ImageReference;
  target: ImageReference;
}

/**
 * The images of an entry, each with where it goes.
 * @throws RegistryFailure; Error where nothing matches, or something isn't a reference.
 */
export async function expand(client: RegistryClient, entry: Entry): Promise<Pair[]> {
  const { registry } = entry;
  const pairs: Pair[] = [];
  for (const repository of await repositoriesOf(client, entry)) {
    const base = { registry, repository };
    if (entry.tags.length === 0 && entry.digest !== null) pairs.push(pairOf(entry, base, null));
    for (const tag of await tagsOf(client, entry, repository)) pairs.push(pairOf(entry, base, tag));
  }
  if (pairs.length === 0) {
    throw new Error(`no tag of ${registry}/${entry.repository} matches ${entry.tags.join(", ")}`);
  }
  const [first] = pairs;
  if (pairs.length > 1 && first?.target.tag && pairs.every(({ target }) => isSame(target, first.target))) {
    const message = `${pairs.length} tags can't all become ${entry.to}: leave its tag out, and each keeps its own`;
    throw new Error(message);
  }
  return pairs;
}

function isSame(one: ImageReference, other: ImageReference): boolean {
  return formatReference(one) === formatReference(other);
}

function pairOf(
  { to, digest }: Entry,
  { registry, repository }: { registry: string; repository: string },
  tag: string | null,
): Pair {
  const name = `${registry}/${repository}${tag === null ? "" : `:${tag}`}${digest === null ? "" : `@${digest}`}`;
  const target = parseAsWritten(to.endsWith("/") ? to + repository : to);
  if (target.digest !== null) throw new Error(`${to} has a digest, which is the source's to say`);
  return { source: parseAsWritten(name), target: { ...target, tag: target.tag ?? tag } };
}

async function repositoriesOf(client: RegistryClient, { registry, repository }: Entry): Promise<string[]> {
  if (!isPattern(repository)) return [repository];
  const isMeant = pattern(repository);
  const found: string[] = [];
  for await (const name of client.repositories(remoteOf({ registry, repository: "_catalog" }))) {
    if (isMeant(name)) found.push(name);
  }
  if (found.length === 0) throw new Error(`no repository of ${registry} matches ${repository}`);
  return found;
}

async function tagsOf(client: RegistryClient, entry: Entry, repository: string): Promise<string[]> {
  const { registry, tags, exclude, newest } = entry;
  const excluded = exclude.map(pattern);
  const isExcluded: Pattern = (tag) => excluded.some((matches) => matches(tag));
  const exact = tags.filter((tag) => !isPattern(tag) && !isExcluded(tag));
  const wanted = tags.filter(isPattern).map(pattern);
  // Without a pattern the registry needn't list what it has.
  if (wanted.length === 0) return exact;
  const found: string[] = [];
  for await (const tag of client.tags(remoteOf({ registry, repository }))) {
    if (wanted.some((matches) => matches(tag)) && !isExcluded(tag) && !exact.includes(tag)) found.push(tag);
  }
  return [...exact, ...(newest === null ? found : newestOf(found, newest))];
}
