/** Text of others, made fit for a terminal. Pure. */

/** Controls (escape sequences begin with one), what turns the direction of text or can't be seen, and what ends a line. */
const UNFIT = /[\p{C}\u2028\u2029]+/gu;

/**
 * The same text, or the same objects and arrays with all of their texts, without anything that a terminal would obey: what a
 * registry, a mirror or a file of others says can hold escape sequences. What is taken out leaves a mark.
 */
export function cleaned<Value>(value: Value): Value {
  if (typeof value === "string") return value.replaceAll(UNFIT, "�") as Value;
  if (Array.isArray(value)) return value.map(cleaned) as Value;
  if (value === null || typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, cleaned(each)])) as Value;
}

/** JSON in which all that is unfit for a terminal is escaped, and nothing is lost. */
export function cleanJson(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(UNFIT, (unfit) =>
    unfit === "\n"
      ? unfit
      : unfit.replaceAll(/[^\n]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
}
