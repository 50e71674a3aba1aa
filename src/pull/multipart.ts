/** Several ranges of a stored blob in one response (RFC 9110 §14.6). */

import type { ResponseHeaders } from "../oci/content-response.ts";
import { type ByteRange, contentRange, type Slice } from "../oci/range.ts";
import type { PullRequest } from "./request.ts";

/** What a part is read with; the store's `get`, for one object. */
export type ReadPart = (range: ByteRange) => Promise<{ body: ReadableStream<Uint8Array> } | null>;

/**
 * Answers with the parts one after the other, each read from the store when it is its turn. The bytes go through natively;
 * only what stands between the parts is written here.
 */
export function multipart(
  pull: PullRequest,
  responseHeaders: ResponseHeaders,
  slices: readonly Slice[],
  size: number,
  read: ReadPart,
): Response {
  const boundary = crypto.randomUUID();
  const parts = slices.map(({ offset, length }) => {
    const lines = [
      `--${boundary}`,
      `Content-Type: ${responseHeaders["Content-Type"]}`,
      `Content-Range: ${contentRange(offset, length, size)}`,
    ];
    return { head: encode(`\r\n${lines.join("\r\n")}\r\n\r\n`), offset, length };
  });
  const end = encode(`\r\n--${boundary}--\r\n`);
  const length = parts.reduce((sum, part) => sum + part.head.byteLength + part.length, end.byteLength);
  const { readable, writable } = new FixedLengthStream(length);

  const send = async (): Promise<void> => {
    for (const { head, offset, length } of parts) {
      const part = await read({ first: offset, last: offset + length - 1 });
      if (!part) throw new Error("a blob is gone from the store while its ranges are sent");
      await write(writable, head);
      await part.body.pipeTo(writable, { preventClose: true, signal: pull.signal });
    }
    await write(writable, end);
    await writable.close();
  };
  pull.waitUntil(send().catch((error) => writable.abort(error).catch(() => {})));

  const headers = {
    ...responseHeaders,
    "Content-Type": `multipart/byteranges; boundary=${boundary}`,
    "Content-Length": String(length),
  };
  return new Response(readable, { status: 206, headers });
}

async function write(writable: WritableStream<Uint8Array>, bytes: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  await writer.write(bytes);
  writer.releaseLock();
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
