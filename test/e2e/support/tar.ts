// Writes tar archives (POSIX ustar) in memory, byte for byte the same on every run: layers are named by the
// SHA-256 of such an archive, and tools like tar(1) put today's date and the builder's user into it.

export type TarEntry =
  | { type: "file"; path: string; content: Uint8Array; mode?: number; uid?: number; gid?: number }
  | { type: "directory"; path: string; mode?: number }
  | { type: "symlink"; path: string; target: string }
  | { type: "hardlink"; path: string; target: string };

const BLOCK = 512;
const TYPE_FLAG = { file: "0", hardlink: "1", symlink: "2", directory: "5" } as const;
/** 2020-01-01T00:00:00Z in seconds: any fixed moment will do. */
const MODIFIED = 1_577_836_800;

export function tar(entries: readonly TarEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    parts.push(header(entry));
    if (entry.type === "file") parts.push(entry.content, Buffer.alloc(padding(entry.content.length)));
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

function header(entry: TarEntry): Buffer {
  const path = entry.type === "directory" ? `${entry.path}/` : entry.path;
  if (Buffer.byteLength(path) > 100) throw new Error(`path longer than ustar's 100 bytes: ${path}`);
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, width: number): void => {
    block.write(`${value.toString(8).padStart(width - 1, "0")}\0`, offset, "latin1");
  };
  block.write(path, 0);
  octal(mode(entry), 100, 8);
  octal(entry.type === "file" ? (entry.uid ?? 0) : 0, 108, 8);
  octal(entry.type === "file" ? (entry.gid ?? 0) : 0, 116, 8);
  octal(entry.type === "file" ? entry.content.length : 0, 124, 12);
  octal(MODIFIED, 136, 12);
  block.write(TYPE_FLAG[entry.type], 156);
  if ("target" in entry) block.write(entry.target, 157);
  block.write("ustar\x0000", 257, "latin1");
  // The checksum is taken over the header with its own field read as spaces.
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

function mode(entry: TarEntry): number {
  if (entry.type === "file") return entry.mode ?? 0o644;
  if (entry.type === "symlink") return 0o777;
  // Some clients give a hard link's mode to the file it names.
  return entry.type === "directory" ? (entry.mode ?? 0o755) : 0o755;
}
