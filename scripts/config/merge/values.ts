/** What two files of settings say together, as plain values, whatever their format. */
import { isDeepStrictEqual } from "node:util";

export type Table = Record<string, unknown>;

/**
 * Tables are merged, lists joined with ours in front, and of two other values ours counts.
 * @param key of the table that both are; the hosts of a hosts.toml are requested in their order, so there ours come first
 */
export function merge(theirs: unknown, ours: unknown, key = ""): unknown {
  if (Array.isArray(theirs) && Array.isArray(ours)) return joined(theirs, ours);
  if (!isTable(theirs) || !isTable(ours)) return isSame(theirs, ours) ? theirs : ours;
  const named = Object.entries(ours).map(([name, value]) => [theirNameOf(name, theirs), value] as const);
  const merged = named.map(([name, value]) => {
    return [name, Object.hasOwn(theirs, name) ? merge(theirs[name], value, name) : value] as const;
  });
  return key === "host"
    ? { ...Object.fromEntries(merged), ...without(theirs, merged) }
    : { ...theirs, ...Object.fromEntries(merged) };
}

/** A key that is there with a final slash or without it is the same one. */
function theirNameOf(name: string, theirs: Table): string {
  return Object.keys(theirs).find((each) => isSame(each, name)) ?? name;
}

function without(theirs: Table, merged: readonly (readonly [string, unknown])[]): Table {
  const names = new Set(merged.map(([name]) => name));
  return Object.fromEntries(Object.entries(theirs).filter(([name]) => !names.has(name)));
}

/** Ours before theirs; what is in both stands once, as they wrote it. */
export function joined(theirs: readonly unknown[], ours: readonly unknown[]): unknown[] {
  const first = ours.map((own) => theirs.find((item) => isSame(item, own)) ?? own);
  return [...first, ...theirs.filter((item) => !first.includes(item))];
}

/** Equal, and of two URLs also if only one has a slash at its end. */
export function isSame(one: unknown, other: unknown): boolean {
  if (isDeepStrictEqual(one, other)) return true;
  if (typeof one !== "string" || typeof other !== "string" || !/^https?:\/\//.test(one)) return false;
  return one.replace(/\/$/, "") === other.replace(/\/$/, "");
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

export interface Setting {
  path: readonly string[];
  value: unknown;
}

/** The values in which `after` differs from `before`, each with its place; tables themselves are none. */
export function differences(before: unknown, after: unknown, path: readonly string[] = []): Setting[] {
  if (isTable(after) && (before === undefined || isTable(before))) {
    const old = before ?? {};
    return Object.entries(after).flatMap(([key, value]) =>
      differences(Object.hasOwn(old, key) ? old[key] : undefined, value, [...path, key]),
    );
  }
  return isDeepStrictEqual(before, after) ? [] : [{ path, value: after }];
}
