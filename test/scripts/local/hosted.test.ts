/** Hosted repositories on one machine: their content and records outlast the processes, and CACHE_LIMIT leaves them alone. */

import { once } from "node:events";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { createFakeRegistry, patternBytes } from "../../support/fake-registry.ts";
import { listen } from "../../support/node/listen.ts";

const TYPE = "application/vnd.oci.image.manifest.v1+json";
let data: string;
let mirror: RunningMirror;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "portolan-hosted-"));
  await start();
});
afterEach(async () => {
  await mirror.stop();
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

async function start(options: Partial<MirrorOptions> = {}): Promise<void> {
  mirror = await startMirror({ port: 0, host: "127.0.0.1", data, ...options });
}

const at = (path: string) => `${mirror.url}/v2/hosted/team/app/${path}`;

async function pushBlob(bytes: Uint8Array<ArrayBuffer>) {
  const digest = await digestOf(bytes);
  const { status } = await fetch(at(`blobs/uploads/?digest=${digest}`), { method: "POST", body: bytes });
  expect(status).toBe(201);
  return { mediaType: "application/octet-stream", digest, size: bytes.byteLength };
}

async function pushImage(tag: string, layers: Uint8Array<ArrayBuffer>[]): Promise<string> {
  const config = await pushBlob(new TextEncoder().encode(JSON.stringify({ tag })) as Uint8Array<ArrayBuffer>);
  const body = JSON.stringify({
    schemaVersion: 2,
    mediaType: TYPE,
    config,
    layers: await Promise.all(layers.map(pushBlob)),
  });
  const { status } = await fetch(at(`manifests/${tag}`), {
    method: "PUT",
    body,
    headers: { "Content-Type": TYPE },
  });
  expect(status).toBe(201);
  return digestOf(new TextEncoder().encode(body));
}

const bytes = (size: number, seed: number) => patternBytes(size, seed) as Uint8Array<ArrayBuffer>;

test("an image and an unfinished upload are there after a restart", async () => {
  const layer = bytes(3_000_000, 1);
  const digest = await pushImage("1.0", [layer]);
  const started = await fetch(at("blobs/uploads/"), { method: "POST" });
  const upload = started.headers.get("Location") ?? "";
  const rest = bytes(2_000_000, 2);
  await fetch(mirror.url + upload, { method: "PATCH", body: rest.slice(0, 500_000) });
  await mirror.stop();
  await start();
  expect((await fetch(at("manifests/1.0"))).headers.get("docker-content-digest")).toBe(digest);
  const pulled = await fetch(at(`blobs/${await digestOf(layer)}`));
  expect(new Uint8Array(await pulled.arrayBuffer())).toEqual(layer);
  expect((await fetch(mirror.url + upload)).headers.get("Range")).toBe("0-499999");
  const finished = await fetch(`${mirror.url + upload}?digest=${await digestOf(rest)}`, {
    method: "PUT",
    body: rest.slice(500_000),
    headers: { "Content-Range": "500000-1999999" },
  });
  expect(finished.status).toBe(201);
  await expect.poll(parts).toEqual([]);
});

/** Sizes of the uploads that aren't finished. */
const parts = () => sizesIn("store/uploads");

/** Sizes of the files in a folder of the mirror's. */
async function sizesIn(folder: string): Promise<number[]> {
  const entries = await readdir(join(data, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = files.map(({ parentPath, name }) => stat(join(parentPath, name)).then(({ size }) => size));
  return (await Promise.allSettled(sizes)).flatMap((each) =>
    each.status === "fulfilled" ? [each.value] : [],
  );
}

/** Bytes of the disk that the files in a folder take. */
async function blocksIn(folder: string): Promise<number[]> {
  const entries = await readdir(join(data, folder), { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = files.map(({ parentPath, name }) =>
    stat(join(parentPath, name)).then(({ blocks }) => blocks * 512),
  );
  return (await Promise.allSettled(sizes)).flatMap((each) =>
    each.status === "fulfilled" ? [each.value] : [],
  );
}

test("a whole blob of another digest is refused, and nothing of it stays", async () => {
  const digest = await digestOf(bytes(1_000, 7));
  const { status } = await fetch(at(`blobs/uploads/?digest=${digest}`), {
    method: "POST",
    body: bytes(300_000, 8),
  });
  expect(status).toBe(400);
  expect((await fetch(at(`blobs/${digest}`))).status).toBe(404);
  await expect.poll(parts).toEqual([]);
});

test("twenty pushes at once that share a layer all succeed, and it is stored once", async () => {
  const shared = bytes(1_000_000, 3);
  const tags = Array.from({ length: 20 }, (_, index) => `t${index}`);
  await Promise.all(tags.map((tag, index) => pushImage(tag, [shared, bytes(200_000, index + 10)])));
  const { tags: listed } = (await (await fetch(at("tags/list"))).json()) as { tags: string[] };
  expect(listed.sort()).toEqual(tags.sort());
  const hex = (await digestOf(shared)).slice("sha256:".length);
  const files = await readdir(join(data, "store/hosted/blobs"), { recursive: true });
  expect(files.filter((name) => name.endsWith(hex))).toHaveLength(1);
});

test("CACHE_LIMIT evicts nothing of it", async () => {
  await pushImage("1.0", [bytes(300_000, 4)]);
  await mirror.stop();
  await start({ vars: { CACHE_LIMIT: "1 kB" } });
  await mirror.evict();
  expect((await fetch(at("manifests/1.0"))).status).toBe(200);
  expect((await fetch(at(`blobs/${await digestOf(bytes(300_000, 4))}`))).status).toBe(200);
});

test("a mount from a mirrored repository is a second name of the file, which outlasts the cached one", async () => {
  const fake = createFakeRegistry({ auth: "none" });
  const layer = bytes(300_000, 5);
  await fake.addImage("owner/image", "latest", { layers: [layer] });
  const registry = await listen(fake);
  try {
    await mirror.stop();
    await start({ upstreams: { "registry.test": [registry.url] }, insecure: ["registry.test"] });
    const digest = await digestOf(layer);
    const mount = () =>
      fetch(at(`blobs/uploads/?mount=${digest}&from=registry.test/owner/image`), { method: "POST" });
    expect((await mount()).status).toBe(202);
    const pulled = await fetch(`${mirror.url}/v2/registry.test/owner/image/blobs/${digest}`);
    await pulled.arrayBuffer();
    await expect.poll(async () => (await mount()).status).toBe(201);
    const hex = digest.slice("sha256:".length);
    const key = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
    const [cached, hosted] = [join(data, "store", key), join(data, "store/hosted", key)];
    expect((await stat(hosted)).ino).toBe((await stat(cached)).ino);
    expect((await mount()).status).toBe(201);
    await rm(cached);
    const again = await fetch(at(`blobs/${digest}`));
    expect(new Uint8Array(await again.arrayBuffer())).toEqual(layer);
  } finally {
    await registry.close();
  }
});

describe("a chunk without a length that is larger than what is left of the quota", () => {
  const MESSAGE = /DENIED.*the quota of 5000000 bytes for team\/\* is used up/;
  beforeEach(async () => {
    await mirror.stop();
    await start({ vars: { HOSTED_QUOTA: '{"hosted/team/*":"5 MB"}' } });
  });

  /** Sends pieces as long as the mirror takes them. @returns how many it took, and the response unless that was lost. */
  async function sendPieces(upload: string, size: number, count: number, seen = async () => {}) {
    const outgoing = request(mirror.url + upload, { method: "PATCH" });
    outgoing.on("error", () => {});
    const response = once(outgoing, "response") as Promise<[IncomingMessage]>;
    response.catch(() => {});
    const piece = bytes(size, 9);
    let sent = 0;
    try {
      for (; sent < count && !outgoing.destroyed; sent++) {
        await new Promise<void>((resolve, reject) => {
          outgoing.write(piece, (error) => (error ? reject(error) : resolve()));
        });
        await seen();
      }
      outgoing.end();
    } catch {
      // It was cut off.
    }
    const answered = await response.then(([each]) => each).catch(() => null);
    return { sent, status: answered?.statusCode, text: answered && (await text(answered)) };
  }

  test("is refused with the reason, takes no more space than that, and nothing of it counts", async () => {
    await pushBlob(bytes(1_000_000, 1));
    const started = await fetch(at("blobs/uploads/"), { method: "POST" });
    const upload = started.headers.get("Location") ?? "";
    await fetch(mirror.url + upload, { method: "PATCH", body: bytes(1_000_000, 2) });
    let most = 0;
    const refused = await sendPieces(upload, 500_000, 80, async () => {
      await setTimeout(10);
      const used = (await Promise.all([blocksIn("store/uploads"), blocksIn("incoming")])).flat();
      most = Math.max(most, ...used);
    });
    expect(refused).toEqual({ sent: 80, status: 403, text: expect.stringMatching(MESSAGE) });
    expect(most).toBeLessThan(10_000_000);
    await expect.poll(parts).toEqual([]);
    expect(await sizesIn("incoming")).toEqual([]);
    expect((await fetch(mirror.url + upload)).status).toBe(404);
    await pushBlob(bytes(4_000_000, 3));
  });

  test("is cut off if it has no end", async () => {
    const started = await fetch(at("blobs/uploads/"), { method: "POST" });
    const upload = started.headers.get("Location") ?? "";
    expect((await sendPieces(upload, 4_000_000, 1_000)).sent).toBeLessThan(500);
    expect((await fetch(mirror.url + upload)).status).toBe(404);
    await expect.poll(parts).toEqual([]);
    await expect.poll(() => sizesIn("incoming")).toEqual([]);
  }, 60_000);
});

describe("a client that leaves in the middle", () => {
  const layer = bytes(8_000_000, 6);

  /** Sends the first half of the layer, and leaves once the upload has all of it. */
  async function sendHalf(method: string, path: string, headers: Record<string, string | number>) {
    const outgoing = request(mirror.url + path, { method, headers });
    outgoing.on("error", () => {});
    outgoing.write(layer.subarray(0, 4_000_000));
    // The folder comes with the first upload.
    await expect.poll(() => parts().catch(() => [])).toEqual([4_000_000]);
    outgoing.destroy();
  }

  /** Sizes of the bodies that are being written. */
  const incoming = () => sizesIn("incoming");

  test("of a chunk: what has arrived stays, and the upload goes on from there", async () => {
    const started = await fetch(at("blobs/uploads/"), { method: "POST" });
    const upload = started.headers.get("Location") ?? "";
    await sendHalf("PATCH", upload, {});
    const range = async () => (await fetch(mirror.url + upload)).headers.get("Range");
    await expect.poll(range).toBe("0-3999999");
    await expect.poll(incoming).toEqual([]);
    const finished = await fetch(`${mirror.url + upload}?digest=${await digestOf(layer)}`, {
      method: "PUT",
      body: layer.slice(4_000_000),
      headers: { "Content-Range": "4000000-7999999" },
    });
    expect(finished.status).toBe(201);
    const pulled = await fetch(at(`blobs/${await digestOf(layer)}`));
    expect(new Uint8Array(await pulled.arrayBuffer())).toEqual(layer);
  });

  test("of a whole layer: nothing of it stays, and it can be pushed again", async () => {
    const digest = await digestOf(layer);
    await sendHalf("POST", `/v2/hosted/team/app/blobs/uploads/?digest=${digest}`, {
      "Content-Length": layer.byteLength,
    });
    await expect.poll(incoming).toEqual([]);
    await expect.poll(parts).toEqual([]);
    expect((await fetch(at(`blobs/${digest}`))).status).toBe(404);
    await pushBlob(layer);
    const pulled = await fetch(at(`blobs/${digest}`));
    expect(new Uint8Array(await pulled.arrayBuffer())).toEqual(layer);
  });
});
