/** What a registry answered, with a body that is read without web streams: those cost more than hashing its bytes. */
import { pipeline, type Readable } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import type { Dispatcher } from "undici";

/** As much of a Response as is used. */
export interface RegistryResponse {
  status: number;
  ok: boolean;
  headers: Headers;
  /** What was requested. */
  url: string;
  body: (AsyncIterable<Uint8Array> & { cancel(): Promise<void> }) | null;
}

/** Bytes of an unwanted body that are read so that its connection can be reused. */
const WORTH_READING = 64 * 1024;

const DECODERS: Readonly<Record<string, () => NodeJS.ReadWriteStream>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

export function responseOf(
  url: string,
  { statusCode, headers, body }: Dispatcher.ResponseData,
): RegistryResponse {
  const received = new Headers();
  for (const [name, values] of Object.entries(headers)) {
    for (const value of [values ?? []].flat()) received.append(name, value);
  }
  return {
    status: statusCode,
    ok: statusCode >= 200 && statusCode < 300,
    headers: received,
    url,
    body: bodyOf(body, received.get("Content-Encoding") ?? ""),
  };
}

function bodyOf(
  received: Dispatcher.ResponseData["body"],
  encoding: string,
): NonNullable<RegistryResponse["body"]> {
  // A body that breaks off is an error for who reads it only.
  received.on("error", () => {});
  const decoder = DECODERS[encoding.toLowerCase()]?.();
  const bytes: Readable = decoder ? (pipeline(received, decoder, () => {}) as unknown as Readable) : received;
  return {
    [Symbol.asyncIterator]: () => bytes[Symbol.asyncIterator](),
    cancel: async () => {
      if (decoder) received.destroy();
      else void received.dump({ limit: WORTH_READING }).catch(() => {});
    },
  };
}
