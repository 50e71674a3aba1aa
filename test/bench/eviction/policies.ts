/** The policies that are compared. Each decides what leaves next, of units that are objects or whole images. */

import { USE_SPAN } from "../../../src/ledger/span.ts";
import { byWorth, type Worth, worthOf } from "../../../src/ledger/worth.ts";

export interface Policy {
  /** A unit that is stored was used, or was stored just now. @param size bytes. @param at milliseconds. */
  use(unit: number, size: number, at: number): void;
  /** Chooses what leaves next, and forgets it. There is something left. */
  evict(at: number): number;
}

/** @param limit bytes that may be stored. */
export type CreatePolicy = (limit: number) => Policy;

/** What was stored first. */
export const fifo: CreatePolicy = () => {
  const queue = new Set<number>();
  return {
    use: (unit) => queue.add(unit),
    evict: () => takeFirst(queue),
  };
};

/** What was stored first, unless it was used since it was last looked at. */
export const secondChance: CreatePolicy = () => {
  const queue = new Map<number, boolean>();
  return {
    use: (unit) => queue.set(unit, queue.has(unit)),
    evict: () => {
      for (;;) {
        const [unit, isUsed] = first(queue);
        queue.delete(unit);
        if (!isUsed) return unit;
        queue.set(unit, false);
      }
    },
  };
};

/** What wasn't used for longest. */
export const lru: CreatePolicy = () => {
  const queue = new Set<number>();
  return {
    use: (unit) => {
      queue.delete(unit);
      queue.add(unit);
    },
    evict: () => takeFirst(queue),
  };
};

/** GreedyDual-Size-Frequency (Cherkasova 1998): uses by size, above the worth of what was evicted last. */
export const greedyDual: CreatePolicy = () => scored((uses, size) => uses / size);

/** The same by the square root of the size: between it and LFU with aging, which has no size in it. */
export const greedyDualRoot: CreatePolicy = () => scored((uses, size) => uses / Math.sqrt(size));

/** LFU with dynamic aging. */
export const lfuAging: CreatePolicy = () => scored((uses) => uses);

/** What the mirror does: the order of `src/ledger/worth.ts`, on uses that are recorded once an hour. */
export const asBuilt: CreatePolicy = () => {
  const units = new Map<number, Worth & { hour: number }>();
  let level = 0;
  return {
    use: (unit, size, at) => {
      const hour = Math.floor(at / USE_SPAN);
      const known = units.get(unit);
      if (known?.hour === hour) Object.assign(known, { size });
      else units.set(unit, { size, uses: (known?.uses ?? 0) + 1, level, last: at, hour });
    },
    evict: () => {
      let chosen: [number, Worth] | undefined;
      for (const entry of units) if (!chosen || byWorth(entry[1], chosen[1]) < 0) chosen = entry;
      if (!chosen) throw new RangeError("nothing is left to evict");
      level = Math.max(level, worthOf(chosen[1]));
      units.delete(chosen[0]);
      return chosen[0];
    },
  };
};

function scored(worth: (uses: number, size: number) => number): Policy {
  const units = new Map<number, { uses: number; priority: number }>();
  let inflation = 0;
  return {
    use: (unit, size) => {
      const uses = (units.get(unit)?.uses ?? 0) + 1;
      units.set(unit, { uses, priority: inflation + worth(uses, size) });
    },
    evict: () => {
      const unit = least(units, ({ priority }) => priority);
      inflation = units.get(unit)?.priority ?? inflation;
      units.delete(unit);
      return unit;
    },
  };
}

/** SIEVE (Zhang 2024): a hand goes from the oldest to the newest, and evicts what wasn't used since it last came by. */
export const sieve: CreatePolicy = () => {
  const order: number[] = [];
  const isUsed = new Map<number, boolean>();
  let hand = 0;
  return {
    use: (unit) => {
      if (!isUsed.has(unit)) order.push(unit);
      isUsed.set(unit, isUsed.has(unit));
    },
    evict: () => {
      for (;;) {
        const unit = order[hand] as number;
        const stays = isUsed.get(unit) === true;
        if (stays) isUsed.set(unit, false);
        else order.splice(hand, 1);
        // Past the newest it begins again, with what is the oldest now.
        hand = (stays ? hand + 1 : hand) % Math.max(1, order.length);
        if (stays) continue;
        isUsed.delete(unit);
        return unit;
      }
    },
  };
};

/** S3-FIFO (Yang 2023): a small queue of a tenth that most never leave but by eviction, a main one, and a memory of those. */
export const s3fifo: CreatePolicy = (limit) => {
  const small = new Map<number, number>();
  const main = new Map<number, number>();
  const uses = new Map<number, number>();
  const ghosts = new Set<number>();
  let smallBytes = 0;
  return {
    use: (unit, size) => {
      if (uses.has(unit)) {
        uses.set(unit, Math.min(3, (uses.get(unit) ?? 0) + 1));
        return;
      }
      uses.set(unit, 0);
      if (ghosts.delete(unit)) main.set(unit, size);
      else {
        small.set(unit, size);
        smallBytes += size;
      }
    },
    evict: () => {
      for (;;) {
        const isFromSmall = small.size > 0 && (smallBytes > limit / 10 || main.size === 0);
        const [unit, size] = first(isFromSmall ? small : main);
        const used = uses.get(unit) ?? 0;
        if (isFromSmall) {
          small.delete(unit);
          smallBytes -= size;
          if (used > 1) {
            main.set(unit, size);
            continue;
          }
          ghosts.add(unit);
          if (ghosts.size > main.size) takeFirst(ghosts);
        } else {
          main.delete(unit);
          if (used > 0) {
            uses.set(unit, used - 1);
            main.set(unit, size);
            continue;
          }
        }
        uses.delete(unit);
        return unit;
      }
    },
  };
};

function least<Value>(map: ReadonlyMap<number, Value>, scoreOf: (value: Value) => number): number {
  let chosen = -1;
  let lowest = Number.POSITIVE_INFINITY;
  for (const [unit, value] of map) {
    const score = scoreOf(value);
    if (score < lowest) {
      lowest = score;
      chosen = unit;
    }
  }
  return chosen;
}

function takeFirst(set: Set<number>): number {
  const [unit] = set;
  if (unit === undefined) throw new RangeError("nothing is left to evict");
  set.delete(unit);
  return unit;
}

function first<Value>(map: ReadonlyMap<number, Value>): [number, Value] {
  const [entry] = map;
  if (entry === undefined) throw new RangeError("nothing is left to evict");
  return entry;
}
