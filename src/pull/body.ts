/** Bodies as upstream sends them: how long they are, how long they may take, and how those that are looked into are read. */
import { MAXIMUM_PUT } from "../cache/store.ts";
import { UpstreamError } from "../upstream/failure.ts";

/**
 * Reads a body that has to be looked into.
 * @param maximum bytes after which it is given up.
 * @throws UpstreamError `unavailable` if it is longer, or breaks off.
 */
export async function readBounded(response: Response, maximum: number, what: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response.body ?? []) {
      length += chunk.byteLength;
      if (length > maximum) break;
      chunks.push(chunk);
    }
  } catch {
    throw new UpstreamError("unavailable", `upstream broke off while sending ${what}`);
  }
  if (length > maximum) {
    throw new UpstreamError(
      "unavailable",
      `${what} has more than ${maximum} bytes, the most that is read here`,
    );
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** The length that upstream declares for a body, if its bytes will be that many; null if that can't be known. */
export function declaredLength(response: Response): number | null {
  const encoding = response.headers.get("Content-Encoding");
  const length = response.headers.get("Content-Length");
  // The runtime decodes an encoded body, whose length is then another.
  if ((encoding !== null && encoding !== "identity") || length === null || !/^\d+$/.test(length)) return null;
  return Number(length);
}

/**
 * Fires when a body of this length takes longer than it may. Nothing native tells a stalled stream from a slow one, so
 * what is bounded is the whole: half a minute, and what the slowest bearable line needs.
 */
export function patience(length: number): AbortSignal {
  return AbortSignal.timeout(30_000 + (length / SLOWEST_LINE) * 1000);
}

/** Bytes a second. */
const SLOWEST_LINE = 32_000;

/** Whether an object of this length fits into one put. */
export function isStorable(length: number): boolean {
  return length <= MAXIMUM_PUT;
}
