/** The parts of a tar that aren't a file's content (POSIX.1-1988, ustar). No times and no owners: the same files make the same tar. */

const BLOCK = 512;

/** What ends a tar. */
export const END = new Uint8Array(2 * BLOCK);

/** Bytes of the largest file, whose size is eleven octal digits. */
export const LARGEST = 8 ** 11 - 1;

/** @param path at most 100 ASCII characters. @param size bytes, `LARGEST` at most */
export function tarHeader(path: string, size: number): Uint8Array {
  const header = new Uint8Array(BLOCK);
  const write = (offset: number, text: string) => header.set(new TextEncoder().encode(text), offset);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  write(0, path);
  write(100, octal(0o644, 7));
  write(108, octal(0, 7));
  write(116, octal(0, 7));
  write(124, octal(size, 11));
  write(136, octal(0, 11));
  write(156, "0");
  write(257, "ustar\x0000");
  // The checksum is of the header with spaces in its place.
  write(148, " ".repeat(8));
  write(
    148,
    `${octal(
      header.reduce((sum, byte) => sum + byte),
      6,
    )} `,
  );
  return header;
}

/** What fills the last block of a file. */
export function padding(size: number): Uint8Array {
  return new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);
}
