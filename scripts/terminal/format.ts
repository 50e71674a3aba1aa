/** Numbers, digests and URLs as a person reads them. */

const UNITS = ["B", "kB", "MB", "GB", "TB"];
/** From the largest down, in seconds; a month and a year as long as they are on average. */
const SPANS: readonly [name: string, seconds: number][] = [
  ["year", 31_556_952],
  ["month", 2_629_746],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];
/** The least count of a larger unit for it to be used: "45 days" is more precise than "1 month". */
const ENOUGH = 2;
const SHORT_HEX = 12;

/** 1234567 → "1.2 MB". Decimal units, as registries and browsers use them. */
export function size(bytes: number): string {
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1);
  return `${Number((bytes / 1000 ** step).toFixed(1))} ${UNITS[step]}`;
}

/** A length of time in one unit: 4000 → "67 minutes". Its sign is left out. */
export function span(seconds: number): string {
  const length = Math.abs(seconds);
  const [name, unit] = SPANS.find(([, each]) => length >= each * ENOUGH) ?? ["second", 1];
  return count(Math.round(length / unit), name);
}

/** How long ago something was, of milliseconds since the epoch or a time in ISO 8601: "3 hours ago". */
export function ago(time: number | string): string {
  return `${span((Date.now() - new Date(time).getTime()) / 1000)} ago`;
}

/** "1 layer", "3 layers", "2 bodies". */
export function count(number: number, noun: string): string {
  const plural = noun.endsWith("y") && !/[aeiou]y$/.test(noun) ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${number} ${number === 1 ? noun : plural}`;
}

/** A digest shortened so that it is still distinguishable: `sha256:beefdbd8a1da`. */
export function shortDigest(digest: string): string {
  const colon = digest.indexOf(":");
  return digest.slice(0, colon + 1 + SHORT_HEX);
}

/** A mirror's URL without its scheme and final slash. */
export function shortMirror(mirror: string): string {
  return mirror.replace(/^https?:\/\//, "").replace(/\/$/, "");
}
