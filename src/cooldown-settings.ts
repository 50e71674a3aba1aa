/** The form of COOLDOWN. */
import * as v from "valibot";
import { pattern } from "./access/key-list.ts";
import { matchesAny } from "./access/patterns.ts";
import { duration, table } from "./config-values.ts";

/** How old a digest has to be before tags of the repositories that match are served with it. */
export interface Cooldown {
  /** On `upstream/repository`. */
  pattern: string;
  /** Milliseconds; 0 for repositories that are exempt. */
  age: number;
}

const AGE = "must be a time such as 12h, 7d or 2w, or none";
const age = v.union(
  [
    v.pipe(
      v.literal("none"),
      v.transform(() => 0),
    ),
    duration,
  ],
  AGE,
);

/** The most specific pattern first: the one with the most characters beside `*`. */
export const cooldowns = v.pipe(
  table("must be a table or a JSON object"),
  v.record(pattern, age),
  v.transform((ages) =>
    Object.entries(ages)
      .map(([pattern, age]): Cooldown => ({ pattern, age }))
      .sort((one, other) => specificity(other.pattern) - specificity(one.pattern)),
  ),
);

/** The cooldown of a repository, in milliseconds. @param name `upstream/repository` */
export function cooldownFor(cooldowns: readonly Cooldown[], name: string): number {
  return cooldowns.find(({ pattern }) => matchesAny([pattern], name))?.age ?? 0;
}

function specificity(pattern: string): number {
  return pattern.replaceAll("*", "").length;
}
