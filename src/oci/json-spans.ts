// Where the parts of a JSON document lie, found without parsing it: a document of 4 MiB can take 100 MB once it is
// parsed, which is nearly all that an isolate has. What is needed of it is parsed piece by piece.

/** A value's place in the document: from its first byte to the one after its last. */
export interface Span {
  start: number;
  end: number;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OBJECT = { open: 0x7b, close: 0x7d };
const ARRAY = { open: 0x5b, close: 0x5d };
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];

/**
 * Finds members of a document that is an object; of a repeated key the last counts, as it does for JSON.parse.
 * @returns null if the document is no object from its first byte to its last.
 */
export function findMembers(bytes: Uint8Array, keys: readonly string[]): Map<string, Span> | null {
  const start = skipSpace(bytes, BYTE_ORDER_MARK.every((byte, at) => bytes[at] === byte) ? 3 : 0);
  const found = new Map<string, Span>();
  let at = start;
  if (bytes[at++] !== OBJECT.open) return null;
  for (let isFirst = true; ; isFirst = false) {
    at = skipSpace(bytes, at);
    if (isFirst && bytes[at] === OBJECT.close) break;
    const key = { start: at, end: skipValue(bytes, at) };
    at = skipSpace(bytes, key.end);
    if (bytes[key.start] !== QUOTE || bytes[at] !== COLON) return null;
    const value = spanAt(bytes, at + 1);
    if (value === null) return null;
    const name = keyOf(bytes, key, keys);
    if (name !== undefined) found.set(name, value);
    at = skipSpace(bytes, value.end);
    if (bytes[at] === OBJECT.close) break;
    if (bytes[at++] !== COMMA) return null;
  }
  return skipSpace(bytes, at + 1) === bytes.byteLength ? found : null;
}

/** The elements of the array that a span holds; none if it holds something else, and no more after a malformed one. */
export function* elementsOf(bytes: Uint8Array, array: Span | undefined): Generator<Span> {
  if (array === undefined || bytes[array.start] !== ARRAY.open) return;
  for (let at = array.start + 1; at < array.end; ) {
    const element = spanAt(bytes, at);
    if (element === null) return;
    yield element;
    at = skipSpace(bytes, element.end);
    if (bytes[at++] !== COMMA) return;
  }
}

/** Parses what a span holds; undefined if it is no JSON. */
export function parseSpan(bytes: Uint8Array, span: Span | undefined): unknown {
  if (span === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes.subarray(span.start, span.end)));
  } catch {
    return undefined;
  }
}

/** Which of the wanted keys this one is. With every character escaped it is six times as long. */
function keyOf(bytes: Uint8Array, span: Span, keys: readonly string[]): string | undefined {
  const longest = Math.max(...keys.map(({ length }) => length));
  if (span.end - span.start > 6 * longest + 2) return undefined;
  const key = parseSpan(bytes, span);
  return keys.find((wanted) => wanted === key);
}

/** The value at a position, or null if there is none. */
function spanAt(bytes: Uint8Array, position: number): Span | null {
  const start = skipSpace(bytes, position);
  const end = skipValue(bytes, start);
  return end > start && end <= bytes.byteLength ? { start, end } : null;
}

/** The position after a value; beyond the end if the value doesn't end. */
function skipValue(bytes: Uint8Array, start: number): number {
  let at = start;
  let depth = 0;
  while (at < bytes.byteLength) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = skipString(bytes, at);
      if (depth === 0) return at;
      continue;
    }
    const isClosing = byte === OBJECT.close || byte === ARRAY.close;
    if (depth === 0 && (isClosing || byte === COMMA || byte === COLON || isSpace(byte))) return at;
    at++;
    if (byte === OBJECT.open || byte === ARRAY.open) depth++;
    else if (isClosing && --depth === 0) return at;
  }
  return depth === 0 ? at : bytes.byteLength + 1;
}

function skipString(bytes: Uint8Array, start: number): number {
  for (let quote = start; ; ) {
    quote = bytes.indexOf(QUOTE, quote + 1);
    if (quote === -1) return bytes.byteLength + 1;
    let before = quote;
    while (bytes[before - 1] === BACKSLASH) before--;
    if ((quote - before) % 2 === 0) return quote + 1;
  }
}

function skipSpace(bytes: Uint8Array, start: number): number {
  let at = start;
  while (isSpace(bytes[at])) at++;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}
