/** The form of TAG_QUORUM. */
import * as v from "valibot";
import { endpoint, table } from "./config-values.ts";
import { isInternal, isWithinNetwork } from "./registry/addresses.ts";
import { type TagQuorum, voterOf } from "./upstream/quorum.ts";
import type { Upstream } from "./upstream/registries.ts";

/** Sources at most: each tag may cost several requests of each of them. */
const MOST_SOURCES = 5;
const AGREE = "must be a whole number, 2 at least: no source is trusted alone";
const source = v.pipe(
  endpoint,
  v.check(
    ({ protocol }) => protocol === "https:",
    "must be https: otherwise anyone on the way could respond",
  ),
  v.check((url) => !isInternal(url), "must be a public host"),
);
const quorum = v.pipe(
  v.strictObject(
    {
      sources: v.pipe(
        v.array(source, "must be a list of URLs"),
        v.maxLength(MOST_SOURCES, `must be ${MOST_SOURCES} at most`),
      ),
      agree: v.optional(v.pipe(v.number(AGREE), v.integer(AGREE), v.minValue(2, AGREE)), 2),
    },
    "can only have sources and agree",
  ),
  v.check(
    ({ sources, agree }) => new Set(sources.map(voterOf)).size >= agree,
    "must have sources on at least as many hosts as have to agree",
  ),
);

/** By upstream's name. */
export const tagQuorums = v.pipe(table("must be a table or a JSON object"), v.record(v.string(), quorum));

/** @returns what is wrong with quorums for the upstreams that they name. */
export function quorumFaults(
  quorums: Readonly<Record<string, TagQuorum>>,
  find: (name: string) => Upstream | null,
): string[] {
  return Object.entries(quorums).flatMap(([name, { sources }]) => {
    const upstream = find(name);
    if (upstream?.name !== name) return [`TAG_QUORUM: no upstream is named ${name}`];
    if (upstream.login === "required" || isWithinNetwork(upstream)) {
      return [`TAG_QUORUM.${name}: is for public content, and this upstream has none`];
    }
    const [primary] = upstream.endpoints;
    return primary && sources.some((source) => voterOf(source) === voterOf(primary))
      ? [`TAG_QUORUM.${name}: names the primary, which has failed when sources are requested`]
      : [];
  });
}
