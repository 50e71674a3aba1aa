/** Where the files of an image layout are written to. */
import type { Blob } from "../registry/download.ts";

export interface ContentWriter {
  /** As it is called in messages. */
  readonly name: string;
  /** Whether a blob is there already, and whole. */
  has(path: string, blob: Blob): Promise<boolean>;
  /**
   * Writes a file.
   * @param size in bytes.
   * @param open begins to read them; called once it is this file's turn.
   */
  write(path: string, size: number, open: () => AsyncIterable<Uint8Array>): Promise<void>;
  /** A document that was there before, or null. */
  existing(path: string): Promise<Uint8Array | null>;
  /** Publishes what was written: until then nothing of it can be seen. */
  commit(): Promise<void>;
  /** Removes what was written, unless it was committed. */
  discard(): Promise<void>;
}
