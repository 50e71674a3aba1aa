/** Sanitizes untrusted text for a terminal. Pure. */

/** Controls (escape sequences begin with one), bidirectional and invisible characters, and line breaks. */
const UNFIT = /[\p{C}\u2028\u2029]+/gu;

/**
 * The same text, or the same objects and arrays with all of their texts, without anything that a terminal would interpret: text
 * from a registry, a mirror or a file may contain escape sequences. What is removed is replaced by a mark.
 */
export function cleaned<Value>(value: Value): Value {
  if (typeof value === "string") return value.replaceAll(UNFIT, "�") as Value;
  if (Array.isArray(value)) return value.map(cleaned) as Value;
  if (value === null || typeof value !== "object" || Object.getPrototypeOf(value) !== Object.prototype)
    return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, cleaned(each)])) as Value;
}

/**
 * JSON in which everything unsafe for a terminal is escaped, without loss.
 * @param indent spaces a level; with 0 it is a single line.
 */
export function cleanJson(value: unknown, indent = 2): string {
  return JSON.stringify(value, null, indent).replaceAll(UNFIT, (unfit) =>
    unfit === "\n"
      ? unfit
      : unfit.replaceAll(/[^\n]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );
}
