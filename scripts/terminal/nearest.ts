/** What somebody may have meant by a name that isn't known. */
import { distance } from "fastest-levenshtein";

/** Of a name's letters, how many may be wrong. */
const TOLERANCE = 0.4;

/** @returns the known name that is most like it; null if none is like it at all. */
export function nearest(name: string, known: readonly string[]): string | null {
  const spelled = name.toLowerCase();
  const byDistance = known
    .map((each) => ({ each, wrong: distance(spelled, each.toLowerCase()) }))
    .sort((one, other) => one.wrong - other.wrong);
  const [first] = byDistance;
  return first && first.wrong <= first.each.length * TOLERANCE ? first.each : null;
}
