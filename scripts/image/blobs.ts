/** Looks at blobs in one place: whether they are there, or, downloaded, whether they are what their digests say. */
import { createHash } from "node:crypto";
import { type Digest, digestParts } from "../../src/oci/digest.ts";
import type { Descriptor } from "../../src/oci/manifest.ts";
import { readBounded } from "../../src/registry/bounded-read.ts";
import { digestOfBytes, type RegistryClient } from "../registry/client.ts";
import { causeOf, failureOfError } from "../registry/failure.ts";
import type { RemoteRepository } from "../registry/remote.ts";
import { shortDigest } from "../terminal/format.ts";
import { outcomeOf, type ReadOutcome } from "./read-outcome.ts";

/** Requests a blob's size alone. Never rejects: what went wrong is in the outcome. */
export async function checkBlob(
  client: RegistryClient,
  remote: RemoteRepository,
  blob: Descriptor,
): Promise<ReadOutcome> {
  try {
    const heading = await client.headBlob(remote, blob.digest);
    if (heading === null) return { kind: "missing" };
    if (heading.size === null || heading.size === blob.size) return { kind: "given" };
    return { kind: "wrong", reason: `it has ${heading.size} bytes, not ${blob.size}` };
  } catch (error) {
    return outcomeOf(error);
  }
}

/**
 * Downloads a blob and hashes it on the way; nothing is kept. Never rejects: what went wrong is in the outcome.
 * @param onBytes called with the size of every chunk.
 */
export async function downloadBlob(
  client: RegistryClient,
  remote: RemoteRepository,
  blob: Descriptor,
  onBytes: (bytes: number) => void,
): Promise<ReadOutcome> {
  try {
    const { body } = await client.blob(remote, blob.digest);
    return await hashed(body, blob, onBytes);
  } catch (error) {
    return outcomeOf(error);
  }
}

/** Reads a body to its end and checks it against the descriptor; reading stops as soon as it is too long. */
export async function hashed(
  body: AsyncIterable<Uint8Array> | null,
  { digest, size }: Pick<Descriptor, "digest" | "size">,
  onBytes: (bytes: number) => void,
): Promise<ReadOutcome> {
  const { algorithm } = digestParts(digest);
  const hash = createHash(algorithm);
  let length = 0;
  try {
    for await (const chunk of body ?? []) {
      hash.update(chunk);
      length += chunk.byteLength;
      onBytes(chunk.byteLength);
      if (length > size) return { kind: "wrong", reason: `it has more than ${size} bytes` };
    }
  } catch (error) {
    return { kind: "failed", reason: `it broke off after ${length} of ${size} bytes: ${causeOf(error)}` };
  }
  const actual: Digest = `${algorithm}:${hash.digest("hex")}`;
  if (actual === digest) return { kind: "given" };
  return { kind: "wrong", reason: `its bytes are ${shortDigest(actual)}, not ${shortDigest(digest)}` };
}

/** Most bytes of a config that are read. */
const MOST = 8 * 1024 * 1024;

/** A config's bytes, if they are what its digest says; null otherwise, or if it can't be had. */
export async function readSmallBlob(
  client: RegistryClient,
  remote: RemoteRepository,
  blob: Descriptor,
): Promise<Uint8Array | null> {
  if (blob.size > MOST) return null;
  try {
    const response = await client.blob(remote, blob.digest);
    const bytes = await readBounded(response, blob.size, blob.digest);
    return digestOfBytes(bytes, digestParts(blob.digest).algorithm) === blob.digest ? bytes : null;
  } catch (error) {
    failureOfError(error, remote.endpoint.host, "");
    return null;
  }
}
