// The client configuration, written by the command line as a user would have it written.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "./process.ts";

const PROGRAM = fileURLToPath(new URL("../../../scripts/portolan.js", import.meta.url));

/** Writes a client's files below `root`, which stands for the root of the client's machine. */
export async function configure(client: string, root: string, options: readonly string[]): Promise<void> {
  await run([process.execPath, PROGRAM, "config", client, "--write", "--yes", "--root", root, ...options], {
    environment: { HOME: "/root" },
  });
}

/** The text of each hosts.toml below a folder, by the name of the folder that it is in. */
export async function hostsIn(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder);
  const texts = names.map(async (name) => [name, await readFile(join(folder, name, "hosts.toml"), "utf8")]);
  return Object.fromEntries(await Promise.all(texts));
}
