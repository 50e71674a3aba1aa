// Byte ranges: the part of a blob that a client asks for, and how the response names it.

/** What was requested, in bytes: from `first` to `last`, both included (`last` null: to the end); or the final `suffix`. */
export type ByteRange = { first: number; last: number | null } | { suffix: number };

/** What a range is of content whose size is known. */
export interface Slice {
  offset: number;
  length: number;
}

const RANGES = /^bytes=(.*)$/i;
const RANGE = /^(?:(\d+)-(\d*)|-(\d+))$/;
/** More of them in one request is no client's, but an attack (RFC 9110 §17.15). */
const MOST_RANGES = 16;
const CONTENT_RANGE = /^bytes (\d+)-(\d+)\/(?:(\d+)|\*)$/i;

/**
 * Reads a Range. None for an absent or malformed one, another unit, too many ranges, and numbers beyond safe integers:
 * all of them a server may ignore, and then it answers 200 with the whole.
 * Source: RFC 9110 §14.1.2, §14.2.
 */
export function parseRanges(header: string | null): readonly ByteRange[] {
  const list = RANGES.exec(header?.trim() ?? "")?.[1]?.split(",", MOST_RANGES + 1) ?? [];
  const ranges = list.map((text) => parseRange(text.trim())).filter((range) => range !== null);
  return ranges.length === list.length && ranges.length <= MOST_RANGES ? ranges : [];
}

/** Whether a Range ends before it begins, so that a server may reject it with 416 (RFC 9110 §14.2). */
export function isInverted(header: string | null): boolean {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/i.exec(header?.trim() ?? "") ?? [];
  return first !== undefined && Number(last) < Number(first);
}

function parseRange(text: string): ByteRange | null {
  const match = RANGE.exec(text);
  if (match === null) return null;
  if (match[3] !== undefined) {
    const suffix = wholeNumber(match[3]);
    return suffix === null ? null : { suffix };
  }
  const first = wholeNumber(match[1]);
  if (first === null) return null;
  if (match[2] === "") return { first, last: null };
  const last = wholeNumber(match[2]);
  return last === null || last < first ? null : { first, last };
}

/** The Range of a request for it. */
export function rangeHeader(range: ByteRange): string {
  return "suffix" in range ? `bytes=-${range.suffix}` : `bytes=${range.first}-${range.last ?? ""}`;
}

/** How many bytes a range asks for at most. */
export function bytesOf(range: ByteRange): number {
  if ("suffix" in range) return range.suffix;
  return range.last === null ? Number.POSITIVE_INFINITY : range.last - range.first + 1;
}

/**
 * Lays a range on content of `size` bytes, cutting off what lies beyond the end. Null when it is unsatisfiable (416).
 * Nothing is satisfiable of empty content, though the RFC grants it for suffixes: Content-Range has no way to write it.
 * Source: RFC 9110 §14.1.2.
 */
export function resolveRange(range: ByteRange, size: number): Slice | null {
  if ("suffix" in range) {
    const length = Math.min(range.suffix, size);
    return length === 0 ? null : { offset: size - length, length };
  }
  if (range.first >= size) return null;
  const last = Math.min(range.last ?? size - 1, size - 1);
  return { offset: range.first, length: last - range.first + 1 };
}

/**
 * Lays several ranges on content, in their order, without those that are unsatisfiable. Null for ranges that overlap: the
 * whole is shorter then, or not much longer.
 * Source: RFC 9110 §14.2, §15.3.7.2.
 */
export function resolveRanges(ranges: readonly ByteRange[], size: number): readonly Slice[] | null {
  const slices = ranges.map((range) => resolveRange(range, size)).filter((slice) => slice !== null);
  const sorted = slices.toSorted((a, b) => a.offset - b.offset);
  const overlap = sorted.some(({ offset, length }, at) => offset + length > (sorted[at + 1]?.offset ?? size));
  return overlap ? null : slices;
}

/** The Content-Range of a 206 that carries `length` bytes from `offset` on, out of `size` (RFC 9110 §14.4). */
export function contentRange(offset: number, length: number, size: number): string {
  return `bytes ${offset}-${offset + length - 1}/${size}`;
}

/** The Content-Range of a 416 (RFC 9110 §14.4). */
export function unsatisfiedRange(size: number): string {
  return `bytes */${size}`;
}

/** What part of the whole a 206 holds: its first and last byte, and the whole's size, null where it isn't known. */
export interface ContentRange {
  first: number;
  last: number;
  size: number | null;
}

/**
 * Reads the Content-Range of a 206: its first and last byte, and the whole's size, null where upstream doesn't know it.
 * Null for an absent, malformed or self-contradictory one, and for that of a 416.
 * Source: RFC 9110 §14.4.
 */
export function parseContentRange(text: string | null): ContentRange | null {
  const match = CONTENT_RANGE.exec(text?.trim() ?? "");
  const first = wholeNumber(match?.[1]);
  const last = wholeNumber(match?.[2]);
  if (match === null || first === null || last === null || last < first) return null;
  if (match[3] === undefined) return { first, last, size: null };
  const size = wholeNumber(match[3]);
  return size === null || last >= size ? null : { first, last, size };
}

/** The number that decimal digits write; null if they are absent, or if it can't be held exactly. */
function wholeNumber(digits: string | undefined): number | null {
  const value = Number(digits);
  return Number.isSafeInteger(value) ? value : null;
}
