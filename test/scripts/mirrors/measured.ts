/** Mirrors as if they had been measured. */
import type { Measured } from "../../../scripts/mirrors/rank.ts";

export function measured(url: string, more: Partial<Measured> = {}): Measured {
  return {
    mirror: { url, registry: "docker.io" },
    problem: null,
    firstByte: 50,
    speed: 1e6,
    isCorrect: true,
    freshness: "same",
    behind: null,
    limits: null,
    tags: [],
    agrees: null,
    ...more,
  };
}
