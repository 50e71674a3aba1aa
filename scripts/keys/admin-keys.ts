/** The ADMIN_KEYs of mirrors that were deployed from here, by their URLs: each is sent to its own mirror only. */
import { join } from "node:path";
import * as v from "valibot";
import { parseJson } from "../../src/oci/json.ts";
import { readIfThere, writePrivately } from "../files.ts";

/** In the project's folder. */
export const ADMIN_KEYS_FILE = "admin-keys.json";

const Keys = v.record(v.string(), v.string());

/** @returns null for a mirror that wasn't deployed from here. @throws Error if the file can't be used. */
export async function readAdminKey(folder: string, mirror: string): Promise<string | null> {
  return (await read(folder))[new URL(mirror).origin] ?? null;
}

export async function keepAdminKey(folder: string, mirror: string, key: string): Promise<void> {
  const keys = { ...(await read(folder)), [new URL(mirror).origin]: key };
  await writePrivately(join(folder, ADMIN_KEYS_FILE), `${JSON.stringify(keys, null, 2)}\n`);
}

async function read(folder: string): Promise<Record<string, string>> {
  const file = join(folder, ADMIN_KEYS_FILE);
  const text = await readIfThere(file);
  if (text === null) return {};
  const keys = parseJson(Keys, text);
  if (keys === null)
    throw new Error(`${file} must be a JSON object of admin keys by mirror; fix or remove it`);
  return keys;
}
