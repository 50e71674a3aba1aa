/** The store on disk: what is published, what isn't, and what leaves it. */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { FileStore } from "../../../scripts/local/file-store.ts";
import { Fills } from "../../../scripts/local/fills.ts";
import { CacheLimit } from "../../../scripts/local/limit.ts";
import { type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { Uploads } from "../../../scripts/local/uploads.ts";
import { writer } from "../../../scripts/local/writer.ts";
import { parseDigest } from "../../../src/oci/digest.ts";
import { contentKey, linkKey, listingKey } from "../../../src/store/store.ts";
import { createFakeRegistry, patternBytes } from "../../support/fake-registry.ts";
import { type Listening, listen } from "../../support/node/listen.ts";

const content = randomBytes(300_000);

let data: string;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "portolan-store-"));
});

afterEach(() => rm(data, { recursive: true }));

function checksumOf(bytes: Uint8Array, algorithm = "sha256"): string {
  return createHash(algorithm).update(bytes).digest("hex");
}

function keyOf(hex: string, algorithm = "sha256"): string {
  return `blobs/${algorithm}/${hex.slice(0, 2)}/${hex}`;
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe("the writer", () => {
  let server: Server;
  let url: string;

  beforeEach(async () => {
    const store = await FileStore.open(join(data, "store"));
    const records = await FileStore.open(join(data, "records"));
    const fills = await Fills.open(join(data, "incoming"), store);
    const uploads = new Uploads(join(data, "incoming"), store);
    const space = { require: async () => {} };
    server = createServer(
      writer({ store, records, fills, uploads, space, onStored: () => {}, onFull: () => {} }),
    );
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/store/`;
  });

  afterEach(async () => {
    const closed = once(server, "close");
    server.close();
    // A refused body's connection would stay open for seconds.
    server.closeAllConnections();
    await closed;
  });

  const put = async (key: string, body: Uint8Array<ArrayBuffer>, checksum: string): Promise<number> =>
    (await fetch(url + key, { method: "PUT", body, headers: { "X-Checksum": checksum } })).status;

  test("gives an object a second name, and reports one that is not there", async () => {
    const hex = checksumOf(content);
    const second = `hosted/${keyOf(hex)}`;
    const copy = async (from: string, to: string) =>
      (await fetch(`${url}${to}?from=${from}`, { method: "POST" })).status;
    expect(await copy(keyOf(hex), second)).toBe(404);
    await put(keyOf(hex), content, `sha256:${hex}`);
    for (let time = 0; time < 2; time++) expect(await copy(keyOf(hex), second)).toBe(204);
    expect(await readFile(join(data, "store", second))).toEqual(content);
    expect(await copy("../records/x", second)).toBe(400);
    expect(await copy(keyOf(hex), "hosted/x")).toBe(400);
  });

  test.each(["sha256", "sha512"])("publishes what has its %s", async (algorithm) => {
    const hex = checksumOf(content, algorithm);
    expect(await put(keyOf(hex, algorithm), content, `${algorithm}:${hex}`)).toBe(204);
    expect(await readFile(join(data, "store", keyOf(hex, algorithm)))).toEqual(content);
    expect(await filesIn(data)).toEqual([hex]);
  });

  test("publishes nothing whose checksum is another, and leaves nothing of it", async () => {
    const hex = checksumOf(randomBytes(8));
    expect(await put(keyOf(hex), content, `sha256:${hex}`)).toBe(409);
    expect(await filesIn(data)).toEqual([]);
  });

  test("publishes nothing of a body that breaks off, and leaves nothing of it", async () => {
    const hex = checksumOf(content);
    const broken = request(url + keyOf(hex), { method: "PUT", headers: { "X-Checksum": `sha256:${hex}` } });
    broken.on("error", () => {});
    broken.write(content.subarray(0, 100_000));
    await expect.poll(() => filesIn(data)).toHaveLength(1);
    broken.destroy();
    await expect.poll(() => filesIn(data)).toEqual([]);
  });

  test("deletes, also what isn't there", async () => {
    const hex = checksumOf(content);
    await put(keyOf(hex), content, `sha256:${hex}`);
    for (let time = 0; time < 2; time++) {
      expect((await fetch(url + keyOf(hex), { method: "DELETE" })).status).toBe(204);
    }
    expect(await filesIn(data)).toEqual([]);
  });

  test("publishes under every kind of key that the store has", async () => {
    const hex = checksumOf(content);
    const digest = parseDigest(`sha256:${hex}`);
    if (!digest) throw new Error("this is a digest");
    const visibilities = ["public", "private"] as const;
    const keys = [
      ...visibilities.flatMap((visibility) => [
        contentKey("blobs", digest, visibility),
        contentKey("manifests", digest, visibility),
        listingKey("ghcr.io", "owner/some.image", hex, visibility),
      ]),
      linkKey("registry.ollama.ai", "library/Model", digest),
    ];
    for (const key of keys) expect([key, await put(key, content, digest)]).toEqual([key, 204]);
    expect(new Set(keys).size).toBe(7);
    expect(await filesIn(data)).toHaveLength(7);
  });

  test.each([
    "x",
    "links/../x/_/sha256/ab",
    "listings/.a/_/ab",
    "blobs/sha256/ab/%2e%2e%2fx",
    "incoming/x",
    "blobs/md5/ab/abcd",
  ])("takes no other name than a key of the store: %s", async (key) =>
    expect(await put(key, content, `sha256:${checksumOf(content)}`)).toBe(400),
  );
});

test("what was being written when a mirror was killed is cleared away by the next", async () => {
  await FileStore.open(data);
  await writeFile(join(data, "incoming", "half"), content);
  await FileStore.open(data);
  expect(await filesIn(data)).toEqual([]);
});

describe("CACHE_LIMIT", () => {
  const fake = createFakeRegistry({ auth: "none" });
  let registry: Listening;
  let mirror: RunningMirror | null = null;
  /** Digests, without what they begin with. */
  let layers: string[];

  beforeAll(async () => {
    registry = await listen(fake);
    const contents = [1, 2, 3].map((seed) => patternBytes(60_000, seed));
    const image = await fake.addImage("owner/image", "latest", { layers: contents });
    layers = image.layers.map(({ digest }) => digest.replace("sha256:", ""));
  });
  afterEach(async () => {
    await mirror?.stop();
    mirror = null;
  });
  afterAll(() => registry.close());

  const messages: string[] = [];
  const start = async (limit: string): Promise<void> => {
    mirror = await startMirror({
      port: 0,
      host: "127.0.0.1",
      data,
      upstreams: { "registry.test": [registry.url] },
      insecure: ["registry.test"],
      vars: { CACHE_LIMIT: limit },
      onMessage: ({ text }) => messages.push(text),
    });
  };
  const pull = async (layer: string): Promise<void> => {
    const response = await fetch(`${mirror?.url}/v2/registry.test/owner/image/blobs/sha256:${layer}`);
    await response.bytes();
    await expect.poll(blobs).toContain(layer);
  };
  const blobs = async (): Promise<string[]> =>
    (await filesIn(join(data, "store", "blobs")).catch(() => [])).sort();

  test("is kept after the fill that exceeds it, what was stored first going first", async () => {
    await start("150 kB");
    for (const layer of layers) await pull(layer);
    await expect.poll(blobs).toEqual(layers.slice(1).sort());
    await expect.poll(() => messages).toContain("evicted 60 kB; 120 kB of 150 kB stored");
  });

  test("is kept from the start on, when it was lowered", async () => {
    await start("1 MB");
    for (const layer of layers) await pull(layer);
    await mirror?.stop();
    await start("100 kB");
    await expect.poll(blobs).toEqual(layers.slice(2));
  });

  test("is warned about where the disk is smaller", async () => {
    await start("900 TB");
    await expect.poll(() => messages.join("\n")).toMatch(/CACHE_LIMIT is 900 TB, but the disk has room for /);
  });
});

describe("a full disk", () => {
  test("makes room for what comes next, and says no more than that", async () => {
    const store = await FileStore.open(data);
    const evict = vi.fn(async () => ({ stored: 100_000, freed: 50_000 }));
    const limit = new CacheLimit(evict, 1_000_000, () => {});
    await limit.start();
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    vi.spyOn(store, "put").mockRejectedValue(full);
    const fills = await Fills.open(join(data, "fills"), store);
    const uploads = new Uploads(join(data, "fills"), store);
    const rest = { onStored: () => {}, onFull: () => limit.makeRoom() };
    const space = { require: async () => {} };
    const options = { store, records: store, fills, uploads, space, ...rest };
    const server = createServer(writer(options));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    try {
      const { port } = server.address() as AddressInfo;
      const hex = checksumOf(content);
      const response = await fetch(`http://127.0.0.1:${port}/store/${keyOf(hex)}`, {
        method: "PUT",
        body: content,
        headers: { "X-Checksum": `sha256:${hex}` },
      });
      expect([response.status, await response.text()]).toEqual([507, "the disk is full"]);
      await expect.poll(() => evict.mock.lastCall).toEqual([99_999]);
    } finally {
      await new Promise((done) => server.close(done));
    }
  });
});
