/** Writes files into a tar, one after the other, as they come: none is held in memory or on disk. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import type { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pLimit from "p-limit";
import { pack } from "tar-stream";
import { hasCode } from "../files.ts";
import type { ContentWriter } from "./content-writer.ts";
import { incomingFor } from "./incoming.ts";

/** The same on every run, so that the same image gives the same archive. */
const MODIFIED = new Date(0);

export interface TarEnd {
  /** Takes the tar's bytes. */
  sink: Writable;
  /** False for a stream that outlives the tar, as standard output. */
  end?: boolean;
  /** Waits until the tar is where it belongs; called when all was written. */
  publish(): Promise<void>;
  discard(): void;
  /** What the sink's failure comes to, if its error alone doesn't say. */
  explain?(error: unknown): Promise<unknown>;
}

/** A tar in a file, which it replaces once it is whole. What is no ordinary file, as a pipe or a device, is written to. */
export async function tarFileWriter(path: string): Promise<ContentWriter> {
  const existing = await stat(path).catch((error) => {
    if (hasCode(error, "ENOENT")) return null;
    throw error;
  });
  if (existing?.isDirectory()) throw new Error(`${path} is a folder`);
  if (existing && !existing.isFile()) {
    const sink = createWriteStream(path, { flags: "w" });
    return tarWriter(path, { sink, publish: async () => {}, discard: () => sink.destroy() });
  }
  const incoming = incomingFor(existing ? await realpath(path) : path);
  const sink = createWriteStream(incoming.path, { flags: "wx", flush: true });
  try {
    await once(sink, "open");
  } catch (error) {
    incoming.discard();
    throw error;
  }
  return tarWriter(path, {
    sink,
    publish: incoming.publish,
    discard: () => {
      sink.destroy();
      incoming.discard();
    },
  });
}

export function tarWriter(name: string, end: TarEnd): ContentWriter {
  return new TarWriter(name, end);
}

class TarWriter implements ContentWriter {
  readonly name: string;
  readonly #end: TarEnd;
  readonly #pack = pack();
  readonly #written = new Set<string>();
  readonly #turn = pLimit(1);
  /** Rejects with the first failure, whether of the sink or of what is written. */
  readonly #sent: Promise<void>;
  #failure: unknown = null;

  constructor(name: string, end: TarEnd) {
    this.name = name;
    this.#end = end;
    this.#sent = this.#send();
    this.#sent.catch(() => {});
  }

  async has(path: string): Promise<boolean> {
    return this.#written.has(path);
  }

  write(path: string, size: number, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    return this.#turn(async () => {
      if (this.#pack.destroying) await this.#sent;
      try {
        await this.#writeEntry(path, size, open());
      } catch (error) {
        // Where the sink has failed, an entry's error only follows from that.
        if (!this.#pack.destroying) this.#abort(error);
        await this.#sent;
        throw error;
      }
      this.#written.add(path);
    });
  }

  async existing(): Promise<null> {
    return null;
  }

  async commit(): Promise<void> {
    this.#pack.finalize();
    await this.#sent;
    await this.#end.publish();
  }

  async discard(): Promise<void> {
    this.#abort(new Error(`${this.name} was closed before it was whole`));
    this.#end.discard();
    await this.#sent.catch(() => {});
  }

  async #send(): Promise<void> {
    try {
      await pipeline(this.#pack, this.#end.sink, { end: this.#end.end ?? true });
    } catch (error) {
      this.#failure ??= (await this.#end.explain?.(error)) ?? error;
      throw this.#failure;
    }
  }

  async #writeEntry(path: string, size: number, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    done.catch(() => {});
    const header = { name: path, size, mode: 0o644, mtime: MODIFIED };
    const entry = this.#pack.entry(header, (error) => (error ? reject(error) : resolve()));
    let failure: unknown = null;
    entry.on("error", (error) => {
      failure = error;
    });
    for await (const piece of bytes) {
      if (failure) throw failure;
      if (!entry.write(piece)) await once(entry, "drain");
    }
    entry.end(null);
    await done;
  }

  /** An entry that isn't whole breaks the tar. */
  #abort(error: unknown): void {
    this.#failure ??= error;
    this.#pack.destroy(error instanceof Error ? error : new Error(String(error)));
  }
}
