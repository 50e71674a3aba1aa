/** Uploads that a process may not live to end: where each goes on, in a file of the user's. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { Digest } from "../../src/oci/digest.ts";
import type { Environment } from "../../src/registry/proxies.ts";
import type { RemoteRepository } from "./remote.ts";

export interface UploadRecords {
  /** @returns where the upload of a process that has ended goes on; null for none. */
  find(remote: RemoteRepository, digest: Digest): Promise<URL | null>;
  keep(remote: RemoteRepository, digest: Digest, location: URL): Promise<void>;
  forget(remote: RemoteRepository, digest: Digest): Promise<void>;
}

const Kept = v.object({
  location: v.pipe(v.string(), v.url()),
  /** The id of the process that sends it. */
  process: v.pipe(v.number(), v.integer()),
  /** Of that process alone: in containers, the next one often has the same id. */
  run: v.string(),
});

const RUN = randomUUID();

/** Milliseconds after which a registry has surely given an upload up. */
const EXPIRY = 7 * 24 * 3_600_000;

/** Where a user's programs keep what they can do without (XDG Base Directory Specification). */
export function uploadsFolder({ XDG_STATE_HOME, HOME }: Environment): string {
  return join(XDG_STATE_HOME || join(HOME ?? homedir(), ".local", "state"), "portolan", "uploads");
}

/**
 * Keeps one file for each upload, for its owner only: with some registries, where an upload goes on is a secret. Where the
 * folder can't be used, uploads aren't remembered, and nothing fails.
 */
export class UploadFiles implements UploadRecords {
  readonly #folder: string;
  #isSwept = false;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async find(remote: RemoteRepository, digest: Digest): Promise<URL | null> {
    await this.#sweep();
    try {
      const kept = v.parse(Kept, JSON.parse(await readFile(this.#fileOf(remote, digest), "utf8")));
      // Two processes in one upload would each spoil it for the other.
      const hasEnded = kept.run !== RUN && (kept.process === process.pid || !isRunning(kept.process));
      return hasEnded ? new URL(kept.location) : null;
    } catch {
      return null;
    }
  }

  async keep(remote: RemoteRepository, digest: Digest, { href }: URL): Promise<void> {
    const file = this.#fileOf(remote, digest);
    const written = `${file}.${process.pid}`;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const kept = { location: href, process: process.pid, run: RUN };
      await writeFile(written, JSON.stringify(kept), { mode: 0o600 });
      await rename(written, file);
    } catch {
      await rm(written, { force: true }).catch(() => {});
    }
  }

  async forget(remote: RemoteRepository, digest: Digest): Promise<void> {
    await rm(this.#fileOf(remote, digest), { force: true }).catch(() => {});
  }

  #fileOf({ endpoint, repository }: RemoteRepository, digest: Digest): string {
    const name = createHash("sha256").update(`${endpoint.href}\n${repository}\n${digest}`).digest("hex");
    return join(this.#folder, `${name}.json`);
  }

  async #sweep(): Promise<void> {
    if (this.#isSwept) return;
    this.#isSwept = true;
    for (const name of await readdir(this.#folder).catch(() => [])) {
      const file = join(this.#folder, name);
      const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Date.now() }));
      if (Date.now() - mtimeMs > EXPIRY) await rm(file, { force: true }).catch(() => {});
    }
  }
}

/** Whether a process is there, its user's or another's. */
function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
