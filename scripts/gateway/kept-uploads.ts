/** Where each of the gateway's uploads is continued at the far mirror, in a file, so that uploads outlive the gateway's process. */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";

export interface KeptUpload {
  /** A UUID. */
  id: string;
  repository: string;
  /** At the far mirror, for which it doesn't change. */
  location: URL;
}

const Kept = v.object({ repository: v.string(), location: v.pipe(v.string(), v.url()) });
const NAME = /^([0-9a-f-]{36})\.json$/;

export class KeptUploads {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** All of them, the oldest first. */
  async all(): Promise<KeptUpload[]> {
    const names = await readdir(this.#folder).catch(() => []);
    const found = await Promise.all(names.map((name) => this.#read(name)));
    return found
      .filter((each) => each !== null)
      .sort((one, other) => one.written - other.written)
      .map(({ upload }) => upload);
  }

  /** Where it can't be written, the upload ends with the process, and nothing fails. */
  async keep({ id, repository, location }: KeptUpload): Promise<void> {
    const written = join(this.#folder, `${id}.new`);
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await writeFile(written, JSON.stringify({ repository, location }), { mode: 0o600 });
      await rename(written, this.#fileOf(id));
    } catch {
      await rm(written, { force: true }).catch(() => {});
    }
  }

  async forget(id: string): Promise<void> {
    await rm(this.#fileOf(id), { force: true }).catch(() => {});
  }

  /** Reads an upload's file; removes one that can't be read. */
  async #read(name: string): Promise<{ upload: KeptUpload; written: number } | null> {
    const path = join(this.#folder, name);
    try {
      const id = NAME.exec(name)?.[1] ?? "";
      const { repository, location } = v.parse(Kept, JSON.parse(await readFile(path, "utf8")));
      const { mtimeMs } = await stat(path);
      if (id !== "") return { upload: { id, repository, location: new URL(location) }, written: mtimeMs };
    } catch {
      // Its writing was interrupted.
    }
    await rm(path, { force: true }).catch(() => {});
    return null;
  }

  #fileOf(id: string): string {
    return join(this.#folder, `${id}.json`);
  }
}
