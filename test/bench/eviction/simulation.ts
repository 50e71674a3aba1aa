/** Replays a trace against a store of a limited size, and counts what was in it when it was requested. */
import type { CreatePolicy } from "./policies.ts";
import type { TraceObject, TracePull } from "./trace.ts";

/** Whether objects leave one by one, or images whole; then what another stored image needs stays. */
export type Unit = "object" | "image";

export interface Outcome {
  /** Shares, 0 to 1. */
  requestHits: number;
  byteHits: number;
  /** Pulls whose image was stored whole: it could have been pulled while upstream fails. */
  wholeImages: number;
}

/** Share of the trace for which the store fills first, and nothing is counted. */
const WARM_UP = 0.2;

/** @param limit bytes. */
export function simulate(
  trace: readonly TracePull[],
  limit: number,
  unit: Unit,
  create: CreatePolicy,
): Outcome {
  const policy = create(limit);
  const store = new SimulatedStore();
  const counts = { requests: 0, requestHits: 0, bytes: 0, byteHits: 0, pulls: 0, whole: 0 };
  const start = (trace.at(-1)?.at ?? 0) * WARM_UP;
  for (const { at, image, requested } of trace) {
    const isCounted = at >= start;
    if (isCounted) {
      counts.pulls++;
      if (image.objects.every(({ id }) => store.has(id))) counts.whole++;
    }
    for (const object of requested) {
      const isHit = store.has(object.id);
      if (isCounted) {
        counts.requests++;
        counts.bytes += object.size;
        if (isHit) {
          counts.requestHits++;
          counts.byteHits += object.size;
        }
      }
      if (unit === "object") {
        store.add(object, object.id);
        policy.use(object.id, object.size, at);
      }
    }
    if (unit === "image") {
      // Also what is stored already is now needed by this image.
      const isNeeded = new Set(requested.map(({ id }) => id));
      const needed = image.objects.filter(({ id }) => isNeeded.has(id) || store.has(id));
      for (const object of needed) store.add(object, image.id);
      policy.use(
        image.id,
        needed.reduce((sum, { size }) => sum + size, 0),
        at,
      );
    }
    while (store.bytes > limit) store.remove(policy.evict(at));
  }
  return {
    requestHits: counts.requestHits / counts.requests,
    byteHits: counts.byteHits / counts.bytes,
    wholeImages: counts.whole / counts.pulls,
  };
}

/** Bytes of all that a trace requests. */
export function contentOf(trace: readonly TracePull[]): number {
  const sizes = new Map(
    trace.flatMap(({ requested }) => requested.map(({ id, size }) => [id, size] as const)),
  );
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** Objects, each with the units that need it. */
class SimulatedStore {
  readonly #objects = new Map<number, { size: number; units: Set<number> }>();
  readonly #units = new Map<number, Set<number>>();
  bytes = 0;

  has(id: number): boolean {
    return this.#objects.has(id);
  }

  add({ id, size }: TraceObject, unit: number): void {
    const object = this.#objects.get(id) ?? { size, units: new Set() };
    if (object.units.size === 0) this.bytes += size;
    this.#objects.set(id, object);
    object.units.add(unit);
    const members = this.#units.get(unit) ?? new Set();
    this.#units.set(unit, members.add(id));
  }

  remove(unit: number): void {
    for (const id of this.#units.get(unit) ?? []) {
      const object = this.#objects.get(id);
      if (!object) continue;
      object.units.delete(unit);
      if (object.units.size > 0) continue;
      this.bytes -= object.size;
      this.#objects.delete(id);
    }
    this.#units.delete(unit);
  }
}
