/** Where the admin key of a mirror comes from. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { isLoopback } from "../../src/registry/addresses.ts";
import { readIfThere } from "../files.ts";
import { readAdminKey } from "../keys/admin-keys.ts";
import { adminKeyFile } from "../keys/signing.ts";

export interface KeySources {
  /** A file that the user named. */
  file?: string;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  /** The data folder of `npm start`, for a mirror on this machine. */
  data: string;
}

/** @throws Error that says where one can be given. */
export async function adminKeyFor(mirror: string, { file, env, cwd, data }: KeySources): Promise<string> {
  if (file !== undefined) {
    const text = await readFile(resolve(cwd, file), "utf8").catch((error: Error) => {
      throw new Error(`--admin-key-file can't be read: ${error.message}`);
    });
    return text.trim();
  }
  if (env.PORTOLAN_ADMIN_KEY) return env.PORTOLAN_ADMIN_KEY;
  const deployed = await readAdminKey(cwd, mirror);
  if (deployed !== null) return deployed;
  const kept = isLoopback(new URL(mirror)) ? await readIfThere(adminKeyFile(resolve(cwd, data))) : null;
  if (kept) return kept.trim();
  throw new Error(
    `the admin key of ${mirror} isn't known: give it by --admin-key-file or PORTOLAN_ADMIN_KEY, or name the mirror's folder by --data`,
  );
}
