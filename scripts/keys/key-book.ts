/** Where access keys are kept, as `portolan key` sees it: a file that is uploaded with a deploy, or a mirror that is running. */
import {
  addKey,
  changeTerms,
  type KeyTerms,
  type MadeKey,
  revokeKey,
  rotateKey,
} from "../../src/access/key-changes.ts";
import type { WrittenKey } from "../../src/access/key-list.ts";
import { readKeyFile, writeKeyFile } from "./key-file.ts";

/** A key without anything that opens the mirror, or says which key it is. */
export interface ShownKey {
  name: string;
  allow: readonly string[];
  deny: readonly string[];
  push: readonly string[];
  delete: readonly string[];
  /** ISO 8601; null: never. */
  expires: string | null;
  /** Requests a minute; null: any number. */
  rate: number | null;
  /** Absent in a file. */
  from?: "configured" | "mirror";
}

/** A key and its value, which is known at this moment only. */
export interface NewKey {
  key: string;
  shown: ShownKey;
}

export interface KeyBook {
  /** For JSON. */
  place: { file: string } | { mirror: string };
  /** A sentence, printed after each change. */
  takesEffect: string;
  list(): Promise<ShownKey[]>;
  add(name: string, terms: KeyTerms): Promise<NewKey>;
  narrow(name: string, terms: KeyTerms): Promise<void>;
  /** @param expires undefined: as before. */
  rotate(name: string, expires: string | null | undefined): Promise<NewKey>;
  revoke(name: string): Promise<void>;
}

/** The keys in a file. */
export function keyFileBook(file: string): KeyBook {
  const read = async () => (await readKeyFile(file)) ?? [];
  const keep = async ({ key, written, list }: MadeKey): Promise<NewKey> => {
    await writeKeyFile(file, list);
    return { key, shown: shownOf(written) };
  };
  return {
    place: { file },
    takesEffect: "A mirror that npm start runs here takes it at once, a deployed one after: key push",
    list: async () => (await read()).map(shownOf),
    add: async (name, terms) => keep(await addKey(await read(), name, terms)),
    narrow: async (name, terms) => writeKeyFile(file, changeTerms(await read(), name, terms)),
    rotate: async (name, expires) => keep(await rotateKey(await read(), name, expires, Date.now())),
    revoke: async (name) => writeKeyFile(file, revokeKey(await read(), name)),
  };
}

function shownOf({
  name,
  allow = [],
  deny = [],
  push = [],
  delete: deletes = [],
  expires,
  rate,
}: WrittenKey) {
  return { name, allow, deny, push, delete: deletes, expires: expires ?? null, rate: rate ?? null };
}
