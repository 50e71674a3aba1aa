/** Reads bodies that are parsed: whole, and never more than a bound, which counts bytes after decompression. */
import { UpstreamError } from "./failure.ts";

/** Bytes of the largest token response that is read. */
export const MAXIMUM_TOKEN = 64 * 1024;

/** The part of a Response that is read here. */
interface Body {
  body: AsyncIterable<Uint8Array> | null;
}

/** A body is longer than its bound: another request won't change that. */
export class TooLarge extends UpstreamError {
  constructor(message: string) {
    super("unavailable", message);
  }
}

/**
 * Reads a body that has to be parsed.
 * @param maximum bytes after which reading stops.
 * @throws TooLarge; UpstreamError `unavailable` if it breaks off.
 */
export async function readBounded(
  { body }: Body,
  maximum: number,
  what: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    // Leaving the loop cancels the rest of the body.
    for await (const chunk of body ?? []) {
      length += chunk.byteLength;
      if (length > maximum) break;
      chunks.push(chunk);
    }
  } catch {
    throw new UpstreamError("unavailable", `upstream broke off while sending ${what}`);
  }
  if (length > maximum) {
    throw new TooLarge(`${what} has more than ${maximum} bytes, the most that is read here`);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}
