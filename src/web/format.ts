/** Numbers and times for people. */

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** `31.5 MB`: powers of 1000, as registries and CACHE_LIMIT count. */
export function bytesText(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[power]}`;
}

/** `2026-11-28 01:45 UTC`; the text itself where it is no time. */
export function timeText(time: string | number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime())
    ? String(time)
    : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** The first digits of a digest, which people tell apart by them. */
export function shortDigest(digest: string): string {
  return digest.replace(/^(sha\d+:[0-9a-f]{12}).+$/, "$1");
}
