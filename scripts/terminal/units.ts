/** Quantities as people read them. */

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** `12.3 MB`. */
export function formatSize(bytes: number): string {
  const step = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), UNITS.length - 1);
  return `${Number((bytes / 1000 ** step).toFixed(1))} ${UNITS[step]}`;
}
