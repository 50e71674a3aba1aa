/**
 * A made-up month of pulls as a mirror sees them: popular images by Zipf's law, a few bases that most of them share, tags that
 * move and keep their lower layers, and builds of CI that are pulled a few times within hours and never again.
 */
import { Random } from "../../soak/random.ts";

export interface TraceObject {
  id: number;
  /** Bytes. */
  size: number;
}

/** One version of an image: its manifest first, then its config and layers. */
export interface TraceImage {
  id: number;
  objects: readonly TraceObject[];
}

export interface TracePull {
  /** Milliseconds since the trace began. */
  at: number;
  image: TraceImage;
  /** What of the image the client requests: it has other layers already. */
  requested: readonly TraceObject[];
}

export interface TraceSettings {
  days: number;
  pullsPerDay: number;
  repositories: number;
  bases: number;
  /** Exponent of Zipf's law. */
  skew: number;
  /** Share of the pulls that are of builds of CI. */
  oneOff: number;
}

export const USUAL: TraceSettings = {
  days: 30,
  pullsPerDay: 700,
  repositories: 2_000,
  bases: 20,
  skew: 0.9,
  oneOff: 0.25,
};

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MANIFEST = 2_000;
const CONFIG = 8_000;
/** Share of the repositories whose tag moves. */
const MOVING = 0.6;
/** Share of the pulls whose client has the base already. */
const HAS_BASE = 0.4;

interface Repository {
  weight: number;
  base: readonly TraceObject[];
  /** Layers that change less often than the tag moves. */
  middle: TraceObject[];
  current: TraceImage;
  /** Milliseconds; null for a tag that never moves. */
  every: number | null;
  next: number;
}

/** The same pulls for the same seed. */
export function createTrace(seed: number, settings: TraceSettings = USUAL): TracePull[] {
  const random = new Random(seed);
  let ids = 0;
  const object = (size: number): TraceObject => ({ id: ids++, size: Math.round(size) });
  // Most layers are small, a few are hundreds of megabytes.
  const layer = (median: number): TraceObject =>
    object(Math.min(800e6, median * Math.exp(normal(random) * 1.2)));
  const bases = Array.from({ length: settings.bases }, (_, rank) => ({
    weight: 1 / (rank + 1),
    layers: Array.from({ length: 1 + random.below(3) }, () => layer(25e6)),
  }));
  const version = (base: readonly TraceObject[], middle: readonly TraceObject[]): TraceImage => ({
    id: ids,
    objects: [object(MANIFEST), object(CONFIG), ...base, ...middle, layer(6e6)],
  });
  const repositories = Array.from({ length: settings.repositories }, (_, rank): Repository => {
    const base = random.weighted(bases).layers;
    const middle = Array.from({ length: 1 + random.below(4) }, () => layer(8e6));
    const every = random.chance(MOVING) ? DAY * (1 + random.below(14)) : null;
    return {
      weight: 1 / (rank + 1) ** settings.skew,
      base,
      middle,
      current: version(base, middle),
      every,
      next: every === null ? 0 : random.next() * every,
    };
  });

  const move = (repository: Repository, now: number): void => {
    if (repository.every === null) return;
    while (repository.next <= now) {
      repository.next += repository.every;
      if (random.chance(0.3)) repository.middle = repository.middle.map(() => layer(8e6));
      repository.current = version(repository.base, repository.middle);
    }
  };
  const pullOf = (image: TraceImage, base: readonly TraceObject[], at: number): TracePull => ({
    at,
    image,
    requested: random.chance(HAS_BASE) ? image.objects.filter((each) => !base.includes(each)) : image.objects,
  });

  const pulls: TracePull[] = [];
  const total = settings.days * settings.pullsPerDay;
  const choose = sampler(repositories, random);
  while (pulls.length < total) {
    const at = timeOf(random, settings.days);
    if (random.chance(settings.oneOff / 3)) {
      // A build: pulled by a few jobs within some hours.
      const from = random.weighted(bases).layers;
      const image = version(from, [layer(10e6)]);
      const jobs = 1 + random.below(5);
      for (let job = 0; job < jobs; job++) pulls.push(pullOf(image, from, at + random.next() * 4 * HOUR));
    } else {
      pulls.push({ at, image: NONE, requested: [] });
    }
  }
  pulls.sort((one, other) => one.at - other.at);
  // Which version a tag names depends on the time, so that these are chosen in order.
  return pulls.map((pull) => {
    if (pull.image !== NONE) return pull;
    const repository = choose();
    move(repository, pull.at);
    return pullOf(repository.current, repository.base, pull.at);
  });
}

const NONE: TraceImage = { id: -1, objects: [] };

/** More by day than by night. */
function timeOf(random: Random, days: number): number {
  for (;;) {
    const at = random.next() * days * DAY;
    if (random.chance(0.55 - 0.45 * Math.cos((2 * Math.PI * at) / DAY))) return at;
  }
}

/** Chooses in proportion to weights, in logarithmic time. */
function sampler<Value extends { weight: number }>(values: readonly Value[], random: Random): () => Value {
  const ends: number[] = [];
  let sum = 0;
  for (const { weight } of values) {
    sum += weight;
    ends.push(sum);
  }
  return () => {
    const wanted = random.next() * sum;
    let low = 0;
    let high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] as number) > wanted) high = middle;
      else low = middle + 1;
    }
    return values[low] as Value;
  };
}

function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}
