/** Watches the file of access keys, so that a key that is added or revoked counts at once. */
import { watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { WrittenKey } from "../../src/access/key-list.ts";
import { readKeyFile } from "../keys/key-file.ts";

/** Milliseconds for which further changes are waited for: a file is replaced in several steps. */
const SETTLE = 100;

export interface KeyWatchOptions {
  file: string;
  /** Called with the list after each change; with an empty one once the file is gone. */
  onKeys(list: readonly WrittenKey[]): Promise<void>;
  /** Called when the file can't be used; the keys stay as they were. */
  onProblem(message: string): void;
}

/** @returns a function that ends the watch. */
export function watchKeys({ file, onKeys, onProblem }: KeyWatchOptions): () => void {
  let timer: NodeJS.Timeout | undefined;
  const read = async () => {
    try {
      await onKeys((await readKeyFile(file)) ?? []);
    } catch (error) {
      onProblem(error instanceof Error ? error.message : String(error));
    }
  };
  // The folder, since the file is replaced as a whole, and may not be there yet.
  const watcher = watch(dirname(file), (_, name) => {
    if (name !== null && name !== basename(file)) return;
    clearTimeout(timer);
    timer = setTimeout(() => void read(), SETTLE);
  });
  watcher.on("error", (error) => onProblem(`${file} can't be watched: ${error.message}`));
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}
