/** The form of HOSTED_RETENTION. */
import * as v from "valibot";
import { pattern } from "./access/key-list.ts";
import { duration, list, table } from "./config-values.ts";

/** Which tags of the repositories that match are kept: those to which any of the three applies. */
export interface Retention {
  /** On `hosted/repository`. */
  pattern: string;
  /** The number of tags pushed last. */
  keep: number;
  /** Milliseconds since it was pushed, below which a tag is kept. */
  younger: number;
  /** Patterns on tags. */
  tags: readonly string[];
}

const KEEP = "must be a number of tags, 1 at least";
const TAGS = "must be a pattern of tags such as v*, or a list of them";
const rule = v.pipe(
  v.strictObject(
    {
      keep: v.optional(v.pipe(v.number(KEEP), v.integer(KEEP), v.minValue(1, KEEP)), 0),
      younger: v.optional(duration),
      tags: v.optional(
        v.pipe(list(TAGS), v.array(v.pipe(v.string(), v.regex(/^[\w.*-]{1,128}$/, TAGS)))),
        [],
      ),
    },
    "can only have keep, younger and tags",
  ),
  // Without any, it would delete all tags.
  v.check(
    ({ keep, younger, tags }) => keep > 0 || younger !== undefined || tags.length > 0,
    "must have keep, younger or tags",
  ),
);

export const retentionRules = v.pipe(
  table("must be a table or a JSON object"),
  v.record(pattern, rule),
  v.transform((rules) =>
    Object.entries(rules).map(
      ([pattern, { younger = 0, ...rest }]): Retention => ({ pattern, younger, ...rest }),
    ),
  ),
);
