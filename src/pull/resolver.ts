/** Which Durable Object stands for a repository. */
import type { Services } from "../services.ts";
import type { RepositoryAccess } from "./repository-access.ts";

/** There are 256 resolvers, so that no unknown repository leaves one behind. */
export function resolverOf({ repositories }: Services, { upstream, repository }: RepositoryAccess) {
  let hash = 0;
  for (const character of `${upstream}/${repository}`) hash = (hash * 31 + character.charCodeAt(0)) % 256;
  return repositories.getByName(String(hash));
}
