/** How a person writes how long a key holds, and how much it may ask. */

const UNITS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const FORM = "It must be such as 90d, 12h, 4w, 2027-01-31 or never.";
/** Milliseconds: as far as dates go is of no use. */
const LONGEST = 100 * 366 * 86_400_000;

/**
 * `90d` from now, or a day, at whose beginning (UTC) the key ends.
 * @returns ISO 8601, or null for `never`.
 * @throws RangeError that says what would be right.
 */
export function expiry(text: string, now: number): string | null {
  if (text === "never") return null;
  const [, number, unit = ""] = /^(\d{1,6})([hdw])$/.exec(text) ?? [];
  const end =
    number === undefined
      ? Date.parse(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : "")
      : now + Number(number) * (UNITS[unit] ?? 0);
  if (Number.isNaN(end)) throw new RangeError(FORM);
  if (end <= now || end > now + LONGEST) throw new RangeError(`${FORM} It must lie in the future.`);
  return new Date(end).toISOString();
}
