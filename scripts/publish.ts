/** Writes the store's files: hashed on their way, and named by their key only when they are whole and right. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { dirname, join } from "node:path";

/** Where files lie while they are written; what is found there at start belongs to nobody. */
const INCOMING = "incoming";
const CONTENT = /^(restricted\/)?(blobs|manifests)\/sha(256|512)\/[0-9a-f]{2}\/[0-9a-f]+$/;
/** No component begins with a dot, so that none leads out of the folder. */
const LINK = /^links(\/[a-z0-9][a-z0-9._-]*)+\/_\/sha(256|512)\/[0-9a-f]+$/;
/** Bytes that are hashed and written at a time: they come in far smaller chunks, each of which would cost a write. */
const PIECE = 1024 * 1024;

/**
 * Prepares a folder for a store, and clears it of what was being written when the last mirror on it was ended.
 * To be called while no mirror runs on the folder.
 */
export async function prepare(store: string): Promise<void> {
  await rm(join(store, INCOMING), { recursive: true, force: true });
  await mkdir(join(store, INCOMING), { recursive: true });
}

/**
 * Handles what `worker/disk-bucket.ts` can't do by the runtime's disk service:
 * PUT of a key with `X-Checksum: sha256:<hex>`, answered 204, or 409 if the body is other content; and DELETE, 204.
 */
export function publisher(store: string) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const key = new URL(request.url ?? "/", "http://store").pathname.slice(1);
    if (!CONTENT.test(key) && !LINK.test(key)) {
      response.writeHead(400).end("no key of the store");
      return;
    }
    try {
      const status = request.method === "PUT" ? await put(store, key, request) : await remove(store, key);
      response.writeHead(status).end();
    } catch (error) {
      response.writeHead(500).end(error instanceof Error ? error.message : String(error));
    }
  };
}

async function put(store: string, key: string, request: IncomingMessage): Promise<number> {
  const [algorithm = "", expected] = String(request.headers["x-checksum"]).split(":");
  const incoming = join(store, INCOMING, randomUUID());
  try {
    if ((await write(incoming, request, algorithm)) !== expected) return 409;
    const file = join(store, key);
    await mkdir(dirname(file), { recursive: true });
    await rename(incoming, file);
    return 204;
  } finally {
    await rm(incoming, { force: true });
  }
}

/** Writes a body through to the disk. @returns its hash in hexadecimal. */
async function write(path: string, body: AsyncIterable<Buffer>, algorithm: string): Promise<string> {
  const hash = createHash(algorithm);
  const file = await open(path, "wx");
  try {
    let gathered: Buffer[] = [];
    let length = 0;
    const flush = async () => {
      const piece = Buffer.concat(gathered);
      gathered = [];
      length = 0;
      hash.update(piece);
      await file.appendFile(piece);
    };
    for await (const chunk of body) {
      gathered.push(chunk);
      length += chunk.byteLength;
      if (length >= PIECE) await flush();
    }
    await flush();
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest("hex");
}

async function remove(store: string, key: string): Promise<number> {
  await rm(join(store, key), { force: true });
  return 204;
}
