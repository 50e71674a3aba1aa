/** How much of a blob a registry takes in one request: what it says, and what it has refused before. */

const MIB = 1024 * 1024;
/** Bytes. A chunk is held in memory until the registry has it, and what fails of it is sent again from there. */
const CHUNK = 8 * MIB;
/** The same of a blob that is larger than a request may be: fewer, because each chunk is a request of its own. */
const CHUNK_OF_LARGE = 32 * MIB;
/** Bytes of the largest chunk that is gathered because a registry wants none smaller. */
const LARGEST_CHUNK = 64 * MIB;
/** Bytes of the smallest chunk that is tried with a registry that refuses larger ones. */
const SMALLEST_CHUNK = MIB;

/** What a registry says of an upload's chunks; null where it says nothing. */
export interface ChunkBounds {
  /** OCI-Chunk-Min-Length. */
  least: number | null;
  /** OCI-Chunk-Max-Length. */
  most: number | null;
}

export function chunkBoundsIn(headers: Headers): ChunkBounds {
  const read = (name: string) => {
    const text = headers.get(name) ?? "";
    return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
  };
  return { least: read("OCI-Chunk-Min-Length"), most: read("OCI-Chunk-Max-Length") };
}

/**
 * A blob goes in one request, which costs least; in chunks if it is larger than the user allows, to a registry that bounds
 * them or has refused a whole blob, or where one broke off: a chunk alone is sent again.
 */
export class Portions {
  /** Bytes of the largest request body. */
  readonly #limit: number | null;
  /** By origin, the size of the chunks that it gets. */
  readonly #chunks = new Map<string, number>();
  /** Origins that refuse chunks. */
  readonly #whole = new Set<string>();

  /** @param limit bytes of the largest request body that is sent; null for no limit but the registry's. */
  constructor(limit: number | null = null) {
    this.#limit = limit;
  }

  /** The bytes of each chunk, the last one apart; null: the whole in one request. */
  chunkFor(origin: string, size: number, { least, most }: ChunkBounds): number | null {
    const learnt = this.#chunks.get(origin);
    const isAllowed = this.#limit === null || size <= this.#limit;
    if (this.#whole.has(origin) || (learnt === undefined && most === null && isAllowed)) return null;
    const usual = isAllowed ? CHUNK : Math.min(this.#limit ?? CHUNK, CHUNK_OF_LARGE);
    const chunk = Math.max(least ?? 1, Math.min(learnt ?? usual, most ?? usual, usual));
    return size <= chunk || chunk > LARGEST_CHUNK ? null : chunk;
  }

  refusesChunks(origin: string): void {
    this.#whole.add(origin);
  }

  /** A whole blob broke off. */
  brokeOff(origin: string): void {
    if (!this.#chunks.has(origin)) this.#chunks.set(origin, CHUNK);
  }

  /**
   * A body was too large.
   * @param most as the registry says in its refusal; null where it doesn't.
   * @returns the size of the next to be tried; null where none is left.
   */
  shrink(origin: string, refused: number, most: number | null): number | null {
    const half = 2 ** Math.floor(Math.log2(Math.max(1, refused - 1)));
    const next = Math.min(this.#chunks.get(origin) ?? CHUNK, half, most ?? CHUNK);
    if (this.#whole.has(origin) || next < SMALLEST_CHUNK) return null;
    this.#chunks.set(origin, next);
    return next;
  }
}
