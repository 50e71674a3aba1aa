/** One mirror a data folder: a lock that the system releases however a process ends. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** SQLite's error code for a database that another process has locked (SQLITE_BUSY). */
const BUSY = 5;

export interface Lock {
  release(): void;
}

/**
 * Takes the lock of a folder. Node has no file locks; SQLite uses the system's, which are released when a process is killed and
 * which two processes that start at the same moment can't both acquire.
 * @throws Error if another process holds the lock.
 */
export function lockFolder(folder: string): Lock {
  const database = new DatabaseSync(join(folder, "lock"));
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof Error && "errcode" in error && error.errcode === BUSY) {
      throw new Error(`another mirror uses ${folder}; stop it, or choose another folder with --data`);
    }
    throw error;
  }
  return { release: () => database.close() };
}
