/** Bytes: makes them, hashes them, packs them as layers, and streams them in counted slices. */

/** Bytes whose buffer is their own, as crypto and Response want them under every type library. */
export type Bytes = Uint8Array<ArrayBuffer>;
export type DigestAlgorithm = "sha256" | "sha512";

/** Small enough that a client which leaves is noticed soon, large enough for layers of 100 MiB. */
const SLICE_BYTES = 64 * 1024;
const TAR_BLOCK = 512;

export function ownCopy(bytes: Uint8Array): Bytes {
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

export function utf8(text: string): Bytes {
  return ownCopy(new TextEncoder().encode(text));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** `sha256:<hex>` or `sha512:<hex>` of the bytes. */
export async function digestOf(bytes: Bytes, algorithm: DigestAlgorithm = "sha256"): Promise<string> {
  const hash = await crypto.subtle.digest(algorithm === "sha256" ? "SHA-256" : "SHA-512", bytes);
  return `${algorithm}:${hex(new Uint8Array(hash))}`;
}

/** The same incompressible bytes for the same size and seed, so that a test can request "a layer of 20 MiB". */
export function patternBytes(size: number, seed = 1): Bytes {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  const bytes = new Uint8Array(words.buffer);
  return bytes.byteLength === size ? bytes : bytes.slice(0, size);
}

/** Reads a stream to its end. */
export async function collect(stream: ReadableStream<Uint8Array> | null): Promise<Bytes> {
  return stream === null ? new Uint8Array(0) : new Uint8Array(await new Response(stream).arrayBuffer());
}

export function gzip(bytes: Bytes): Promise<Bytes> {
  return collect(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip")));
}

export function gunzip(bytes: Bytes): Promise<Bytes> {
  return collect(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** A tar archive (ustar) of plain files: what real clients unpack as a layer. Names of at most 100 bytes. */
export function tarLayer(files: Record<string, string | Uint8Array>): Bytes {
  const parts: Uint8Array[] = [];
  for (const [name, content] of Object.entries(files)) {
    const body = typeof content === "string" ? utf8(content) : content;
    parts.push(tarHeader(name, body.byteLength), body);
    const rest = body.byteLength % TAR_BLOCK;
    if (rest > 0) parts.push(new Uint8Array(TAR_BLOCK - rest));
  }
  parts.push(new Uint8Array(2 * TAR_BLOCK));
  return concatenate(parts);
}

function tarHeader(name: string, size: number): Bytes {
  const nameBytes = utf8(name);
  if (nameBytes.byteLength > 100) throw new RangeError(`tar name longer than 100 bytes: ${name}`);
  const header = new Uint8Array(TAR_BLOCK);
  const put = (offset: number, text: string) => header.set(utf8(text), offset);
  const octal = (value: number, digits: number) => `${value.toString(8).padStart(digits, "0")}\0`;
  header.set(nameBytes, 0);
  put(100, octal(0o644, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(0, 11));
  put(148, " ".repeat(8));
  put(156, "0");
  put(257, "ustar\0");
  put(263, "00");
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(148, `${sum.toString(8).padStart(6, "0")}\0 `);
  return header;
}

export function concatenate(parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}

/**
 * The bytes as a byte stream that makes a slice only when one is requested: what `onSlice` adds up is what
 * really left, also when the reader went away half way. Errors with the signal's reason once it is aborted.
 */
export function streamOf(
  bytes: Bytes,
  signal: AbortSignal,
  onSlice: (size: number) => void,
): ReadableStream<Uint8Array> {
  let offset = 0;
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      if (signal.aborted) {
        controller.error(signal.reason);
        return;
      }
      if (offset < bytes.byteLength) {
        // slice, not subarray: enqueue takes the buffer away, and the content is served more than once.
        const slice = bytes.slice(offset, offset + SLICE_BYTES);
        const size = slice.byteLength;
        offset += size;
        onSlice(size);
        controller.enqueue(slice);
      }
      if (offset >= bytes.byteLength) {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
  });
}
