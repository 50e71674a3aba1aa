/**
 * Fills on one machine: a body goes by one PUT into a file, which any number of clients read while it grows. workerd moves the
 * bytes of both; `scripts/local/fills.ts` hashes and publishes the file.
 */

import type { Slice } from "../../../src/oci/range.ts";
import type { BucketFillOptions } from "../../../src/store/disk.ts";
import type { Progress } from "./progress.ts";
import type { StoreEnv } from "./store-env.ts";

/** A fill, as all requests of this isolate share it; there is only one isolate. It holds nothing that belongs to a request. */
export interface DiskFill {
  readonly id: string;
  readonly key: string;
  readonly size: number;
  outcome: "running" | "stored" | "failed";
  /** Requests that follow it. Its own file stays until the last has ended, whatever becomes of the store's. */
  readers: number;
  /** Whether its own file is gone, or about to. */
  isRemoved: boolean;
}

const byId = new Map<string, DiskFill>();
/** Those that other requests may read. */
const byKey = new Map<string, DiskFill>();

/** A running fill that any request may read. */
export function findFill(key: string): DiskFill | undefined {
  return byKey.get(key);
}

/** @returns the fill's id; null if the disk has no room for it. */
export async function beginFill(
  env: StoreEnv,
  key: string,
  options: BucketFillOptions,
): Promise<string | null> {
  const { algorithm, hex, size, isShared } = options;
  const response = await env.WRITER.fetch(`http://writer/fills/${key}?size=${size}`, {
    method: "POST",
    headers: { "X-Checksum": `${algorithm}:${hex}` },
  });
  const text = await response.text();
  if (response.status === 507) return null;
  if (!response.ok) throw new Error(text);
  const fill: DiskFill = { id: text, key, size, outcome: "running", readers: 0, isRemoved: false };
  byId.set(fill.id, fill);
  if (isShared && !byKey.has(key)) byKey.set(key, fill);
  return fill.id;
}

/** Writes the body, and publishes it. @returns the response to who sends it: 204, 409 if the checksum differs, or 500. */
export async function writeFill(
  env: StoreEnv,
  fill: DiskFill,
  body: ReadableStream<Uint8Array> | null,
): Promise<Response> {
  const { id, key } = fill;
  try {
    const put = await env.INCOMING.fetch(`http://incoming/${id}/body`, { method: "PUT", body });
    await put.body?.cancel();
    if (!put.ok) throw new Error(`the disk answered ${put.status}`);
    const ended = await env.WRITER.fetch(`http://writer/fills/${id}/end`, { method: "POST" });
    const reason = await ended.text();
    fill.outcome = ended.status === 204 ? "stored" : "failed";
    return new Response(ended.status === 204 ? null : reason, { status: ended.status });
  } catch (error) {
    fill.outcome = "failed";
    return new Response(String(error), { status: 500 });
  } finally {
    byId.delete(id);
    if (byKey.get(key) === fill) byKey.delete(key);
    if (fill.outcome === "failed" || fill.readers === 0) await remove(env, fill);
  }
}

function isStored(fill: DiskFill): boolean {
  return fill.outcome === "stored";
}

async function remove(env: StoreEnv, fill: DiskFill): Promise<void> {
  fill.isRemoved = true;
  const response = await env.WRITER.fetch(`http://writer/fills/${fill.id}`, { method: "DELETE" });
  await response.body?.cancel();
}

/** A running fill by the id that `beginFill` gave. */
export function fillOf(id: string): DiskFill | undefined {
  return byId.get(id);
}

/**
 * Writes a part of a running fill as it comes, natively. What holds the fill's last byte gets that only once the whole has the
 * right checksum.
 * @throws if the fill fails, or the reader has gone.
 */
export async function follow(
  env: StoreEnv,
  fill: DiskFill,
  { offset, length }: Slice,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const end = offset + length;
  let position = offset;
  fill.readers++;
  try {
    while (position < end) {
      const { bytes, isVerified } = await progressOf(env, fill, position);
      const available = Math.min(end, isVerified ? bytes : Math.min(bytes, fill.size - 1));
      if (available <= position) continue;
      await pass(env, fill, { offset: position, length: available - position }, writable);
      position = available;
    }
    await writable.close();
  } finally {
    fill.readers--;
    if (isStored(fill) && fill.readers === 0 && !fill.isRemoved) await remove(env, fill);
  }
}

async function progressOf(env: StoreEnv, fill: DiskFill, position: number): Promise<Progress> {
  if (!isStored(fill)) {
    const response = await env.WRITER.fetch(`http://writer/fills/${fill.id}?after=${position}`);
    if (response.ok) return response.json();
    await response.body?.cancel();
  }
  // It was removed meanwhile.
  if (isStored(fill)) return { bytes: fill.size, isVerified: true };
  throw new Error(`the fill of ${fill.key} has failed`);
}

/** Passes bytes of the growing file on, or of the object that it has become. */
async function pass(
  env: StoreEnv,
  fill: DiskFill,
  slice: Slice,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  if (fill.isRemoved) return pipe(env.STORE_FILES, `http://store/${fill.key}`, slice, writable);
  await pipe(env.INCOMING, `http://incoming/${fill.id}/growing`, slice, writable);
}

async function pipe(
  files: Fetcher,
  url: string,
  { offset, length }: Slice,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const response = await files.fetch(url, {
    headers: { Range: `bytes=${offset}-${offset + length - 1}` },
  });
  // It is 200 for a range that is the whole file.
  if (!response.ok || !response.body) throw new Error(`${url} is gone while it is read`);
  await response.body.pipeTo(writable, { preventClose: true });
}
