/** What is done to a list of access keys, wherever it is kept. */
import * as v from "valibot";
import { type WrittenKey, writtenKeys } from "./key-list.ts";
import { generateKey, hashKey } from "./keys.ts";

/** What a key is to open, and for how long. */
export interface KeyTerms {
  allow: readonly string[];
  deny: readonly string[];
  /** Patterns of hosted repositories that it may push to, and delete from. */
  push?: readonly string[];
  delete?: readonly string[];
  /** ISO 8601; null: for ever. */
  expires: string | null;
  /** Requests a minute; null: any number. */
  rate: number | null;
}

/** A key that was just made: the only moment at which it is known. */
export interface MadeKey {
  key: string;
  written: WrittenKey;
  list: WrittenKey[];
}

/** A change that can't be made. Its message is for the one who wants it. */
export class KeyProblem extends Error {
  readonly kind: "taken" | "absent" | "invalid";

  constructor(kind: KeyProblem["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

/** @throws KeyProblem for a name that is taken or can't be one, or for a pattern that can't match. */
export async function addKey(list: readonly WrittenKey[], name: string, terms: KeyTerms): Promise<MadeKey> {
  if (list.some((each) => each.name === name)) {
    throw new KeyProblem(
      "taken",
      `there is a key named ${name} already; give it a new value with: key rotate ${name}`,
    );
  }
  const key = generateKey();
  const written = writtenAs(name, await hashKey(key), terms);
  return { key, written, list: checked([...list, written]) };
}

/** Gives a key other terms; its value stays. @throws KeyProblem for a name that isn't there, or a pattern that can't match. */
export function changeTerms(list: readonly WrittenKey[], name: string, terms: KeyTerms): WrittenKey[] {
  const written = writtenAs(name, find(list, name).hash, terms);
  return checked(list.map((each) => (each.name === name ? written : each)));
}

/** @throws KeyProblem for a name that isn't there. */
export function revokeKey(list: readonly WrittenKey[], name: string): WrittenKey[] {
  find(list, name);
  return list.filter((each) => each.name !== name);
}

/**
 * Gives a key a new value; what it opens stays.
 * @param expires undefined: as before.
 * @throws KeyProblem for a name that isn't there, or a key that would be made expired.
 */
export async function rotateKey(
  list: readonly WrittenKey[],
  name: string,
  expires: string | null | undefined,
  now: number,
): Promise<MadeKey> {
  const { expires: before, ...rest } = find(list, name);
  const until = expires === undefined ? (before ?? null) : expires;
  if (until !== null && Date.parse(until) <= now) {
    throw new KeyProblem(
      "invalid",
      `${name} has expired; say how long the new one is to hold with --expires 90d, or never`,
    );
  }
  const key = generateKey();
  const written = { ...rest, hash: await hashKey(key), ...(until === null ? {} : { expires: until }) };
  return { key, written, list: checked(list.map((each) => (each.name === name ? written : each))) };
}

/** @throws KeyProblem that names what is wrong with a list. */
export function checked(list: unknown): WrittenKey[] {
  const parsed = v.safeParse(writtenKeys, list);
  if (parsed.success) return parsed.output;
  const faults = parsed.issues.map((issue) => `${locationOf(issue, list)}${issue.message}`);
  throw new KeyProblem("invalid", faults.join("\n"));
}

function writtenAs(
  name: string,
  hash: string,
  { allow, deny, push = [], delete: deletes = [], expires, rate }: KeyTerms,
): WrittenKey {
  return {
    name,
    hash,
    ...(allow.length > 0 ? { allow: [...allow] } : {}),
    ...(deny.length > 0 ? { deny: [...deny] } : {}),
    ...(push.length > 0 ? { push: [...push] } : {}),
    ...(deletes.length > 0 ? { delete: [...deletes] } : {}),
    ...(expires === null ? {} : { expires }),
    ...(rate === null ? {} : { rate }),
  };
}

function find(list: readonly WrittenKey[], name: string): WrittenKey {
  const found = list.find((each) => each.name === name);
  if (found) return found;
  const names = list.map((each) => each.name).join(", ");
  throw new KeyProblem(
    "absent",
    `there is no key named ${name}; ${names === "" ? "there is none yet" : `known are: ${names}`}`,
  );
}

function locationOf(issue: v.BaseIssue<unknown>, list: unknown): string {
  const [entry, field] = issue.path ?? [];
  const named = Array.isArray(list) ? list[Number(entry?.key)]?.name : undefined;
  const which = typeof named === "string" ? `the key ${named}: ` : "";
  return `${which}${field ? `${String(field.key)} ` : ""}`;
}
