/** Which rules of the configuration apply to a repository. */
import { matchesAny } from "../access/patterns.ts";
import type { HostedSettings } from "../hosted-settings.ts";
import type { Policy } from "./records.ts";

export function policyFor(
  { path, immutable, quota, sparse }: Pick<HostedSettings, "path" | "immutable" | "quota" | "sparse">,
  repository: string,
): Policy {
  const name = `${path}/${repository}`;
  const limit = quota.find(({ pattern }) => matchesAny([pattern], name));
  return {
    isImmutable: matchesAny(immutable, name),
    allowsSparse: sparse,
    // The records know repositories without the path.
    quota: limit === undefined ? null : { ...limit, pattern: limit.pattern.replace(`${path}/`, "") },
  };
}
