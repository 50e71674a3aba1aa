/** Suggests a known name for an unknown one. */
import { distance } from "fastest-levenshtein";

/** The share of a name's letters that may differ. */
const TOLERANCE = 0.4;

/** @returns the most similar known name; null if none is similar. */
export function nearest(name: string, known: readonly string[]): string | null {
  const spelled = name.toLowerCase();
  const byDistance = known
    .map((each) => ({ each, wrong: distance(spelled, each.toLowerCase()) }))
    .sort((one, other) => one.wrong - other.wrong);
  const [first] = byDistance;
  return first && first.wrong <= first.each.length * TOLERANCE ? first.each : null;
}
