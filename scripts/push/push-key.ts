/** An access key as the login of the one registry that is pushed to. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Logins } from "../registry/logins.ts";

/**
 * @param registry host and port, the only one that gets the key.
 * @param others logins of all other registries.
 * @throws Error where the file can't be read, or holds something else than a key.
 */
export async function loginsWithKey(
  registry: string,
  file: string,
  cwd: string,
  others: Logins,
): Promise<Logins> {
  const text = await readFile(resolve(cwd, file), "utf8").catch((error: Error) => {
    throw new Error(`--key-file can't be read: ${error.message}`);
  });
  const password = text.trim();
  if (!/^[\x21-\x7e]+$/.test(password))
    throw new Error(`--key-file: ${file} must have one key and nothing else`);
  const login = { username: "portolan", password, source: file };
  return {
    loginFor: async (name) =>
      name === registry || name.startsWith(`${registry}/`) ? login : others.loginFor(name),
  };
}
