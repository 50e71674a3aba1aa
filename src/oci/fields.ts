// The lexical rules that header fields share (RFC 9110 §5.6), so that challenges and links are read in the same way.
// Each step reads onward from a position and never goes back over more than it just read: parsing takes linear time
// whatever an upstream sends.

const SPACE = /[ \t]+/y;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
/** An unquoted value. Wider than a token: upstreams write URLs without quotes. */
const BARE = /[^ \t,;]+/y;

/** Where a value was read, and the position after it. */
export interface Read<Value> {
  value: Value;
  end: number;
}

/** A parameter's lower-case name and its value, null when no "=" follows the name; `end` is the position after it. */
export interface Parameter extends Read<string | null> {
  name: string;
}

/** The position after the optional whitespace at `at` (RFC 9110 §5.6.3). */
export function skipSpace(text: string, at: number): number {
  return endOf(SPACE, text, at);
}

/**
 * Reads the quoted-string whose opening quote stands at `at`, without its quotes and escapes (RFC 9110 §5.6.4).
 * One that is never closed runs to the end of the text.
 */
export function readQuoted(text: string, at: number): Read<string> {
  let end = at + 1;
  while (end < text.length && text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
  return { value: text.slice(at + 1, end).replace(/\\(.)/gs, "$1"), end: Math.min(end + 1, text.length) };
}

/**
 * Reads the parameter at `at`: `name`, `name=value` or `name="value"`, with whitespace allowed around "="
 * (RFC 9110 §5.6.6, §11.2). Null when no token stands there.
 */
export function readParameter(text: string, at: number): Parameter | null {
  const nameEnd = endOf(TOKEN, text, at);
  if (nameEnd === at) return null;
  const name = text.slice(at, nameEnd).toLowerCase();
  const equals = skipSpace(text, nameEnd);
  if (text[equals] !== "=") return { name, value: null, end: nameEnd };

  const start = skipSpace(text, equals + 1);
  if (text[start] === '"') return { name, ...readQuoted(text, start) };
  const end = endOf(BARE, text, start);
  return { name, value: text.slice(start, end), end };
}

/** An empty record that has no inherited keys, so that no parameter's name can meet `constructor` or `__proto__`. */
export function emptyParameters(): Record<string, string> {
  return Object.create(null);
}

/** `value` as a quoted-string; what a header field can't carry becomes "?" (RFC 9110 §5.5, §5.6.4). */
export function quote(value: string): string {
  return `"${value.replace(/[^\t\x20-\x7e\x80-\xff]/g, "?").replace(/["\\]/g, "\\$&")}"`;
}

/** The position after what `pattern`, a sticky one, matches at `at`; `at` itself when it matches nothing. */
function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}
