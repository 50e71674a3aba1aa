/** The comparison of the policies: each on the same traces, at limits of which the content is a multiple. */
import * as policies from "./policies.ts";
import { contentOf, type Outcome, simulate, type Unit } from "./simulation.ts";
import { createTrace, type TraceSettings } from "./trace.ts";

export interface Contestant {
  name: string;
  unit: Unit;
  create: policies.CreatePolicy;
}

export const CONTESTANTS: readonly Contestant[] = [
  { name: "FIFO, objects", unit: "object", create: policies.fifo },
  { name: "FIFO with a second chance, objects", unit: "object", create: policies.secondChance },
  { name: "LRU, objects", unit: "object", create: policies.lru },
  { name: "FIFO with a second chance", unit: "image", create: policies.secondChance },
  { name: "LRU", unit: "image", create: policies.lru },
  { name: "SIEVE", unit: "image", create: policies.sieve },
  { name: "S3-FIFO", unit: "image", create: policies.s3fifo },
  { name: "LFU with aging", unit: "image", create: policies.lfuAging },
  { name: "GreedyDual by size (GDSF)", unit: "image", create: policies.greedyDual },
  { name: "GreedyDual by √size", unit: "image", create: policies.greedyDualRoot },
  { name: "as built: GreedyDual by √size, by the hour", unit: "image", create: policies.asBuilt },
];

/** How many times the limit the content of a trace is. */
export const MULTIPLES = [1, 10, 100] as const;

export interface Compared extends Outcome {
  name: string;
  unit: Unit;
  multiple: number;
}

export interface Comparison {
  pulls: number;
  images: number;
  /** Bytes. */
  content: number;
  /** Means over the seeds. */
  results: Compared[];
}

export function compare(
  seeds: readonly number[],
  settings: TraceSettings,
  contestants: readonly Contestant[] = CONTESTANTS,
  multiples: readonly number[] = MULTIPLES,
): Comparison {
  const traces = seeds.map((seed) => createTrace(seed, settings));
  const contents = traces.map(contentOf);
  const results = multiples.flatMap((multiple) =>
    contestants.map(({ name, unit, create }) => {
      const outcomes = traces.map((trace, index) =>
        simulate(trace, (contents[index] as number) / multiple, unit, create),
      );
      const mean = (shareOf: (outcome: Outcome) => number) => meanOf(outcomes.map(shareOf));
      return {
        name,
        unit,
        multiple,
        requestHits: mean(({ requestHits }) => requestHits),
        byteHits: mean(({ byteHits }) => byteHits),
        wholeImages: mean(({ wholeImages }) => wholeImages),
      };
    }),
  );
  return {
    pulls: meanOf(traces.map(({ length }) => length)),
    images: meanOf(traces.map((trace) => new Set(trace.map(({ image }) => image.id)).size)),
    content: meanOf(contents),
    results,
  };
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
