/** One pull as containerd makes it: HEAD of the tag, index and manifest by digest, then all blobs, three at a time. */
import { createHash } from "node:crypto";
import { Connection, field, type Received, type Receiver, requestFor } from "./connection.ts";
import type { Blob, Image } from "./image.ts";

export interface PullResult {
  /** Seconds from the first request to the last byte. */
  seconds: number;
  /** Seconds from the first blob's request to the last byte. */
  blobSeconds: number;
}

/** What containerd and dockerd both default to. */
const PARALLEL = 3;

/**
 * Pulls an image and throws it away.
 * @param verify hashes everything; without it only lengths are checked, which doesn't affect the measurement.
 * @throws if any content differs from what was pushed.
 */
export async function pullImage(port: number, image: Image, verify: boolean): Promise<PullResult> {
  const start = performance.now();
  const connections = await Promise.all(Array.from({ length: PARALLEL }, () => Connection.open(port)));
  try {
    const [first] = connections;
    if (!first) throw new Error("no connection");
    const base = `/v2/${image.repository}`;
    const head = await first.send(requestFor("HEAD", `${base}/manifests/${image.tag}`));
    expectStatus(head);
    if (field(head, "Docker-Content-Digest") !== image.index.digest)
      throw new Error(`wrong digest: ${head.head}`);
    for (const manifest of [image.index, image.manifest]) {
      await download(first, `${base}/manifests/${manifest.digest}`, manifest, true);
    }
    const startOfBlobs = performance.now();
    const queue = [...image.blobs];
    const work = async (connection: Connection): Promise<void> => {
      for (let blob = queue.shift(); blob; blob = queue.shift()) {
        await download(connection, `${base}/blobs/${blob.digest}`, blob, verify);
      }
    };
    await Promise.all(connections.map(work));
    const end = performance.now();
    return { seconds: (end - start) / 1000, blobSeconds: (end - startOfBlobs) / 1000 };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** @throws if the response has another status, length or (with `verify`) digest than it must have. */
export async function download(
  connection: Connection,
  path: string,
  expected: Blob,
  verify: boolean,
  receive: Receiver | null = null,
): Promise<void> {
  const hash = verify ? createHash("sha256") : null;
  const hashing: Receiver = (piece) => {
    hash?.update(piece);
    return receive?.(piece) ?? true;
  };
  const response = await connection.send(requestFor("GET", path), hash ? hashing : receive);
  expectStatus(response);
  if (response.length !== expected.size) {
    throw new Error(`${path}: ${response.length} bytes instead of ${expected.size}`);
  }
  if (hash && `sha256:${hash.digest("hex")}` !== expected.digest) throw new Error(`${path}: wrong content`);
}

function expectStatus({ status, head }: Received): void {
  if (status !== 200) throw new Error(`unexpected response: ${head}`);
}
