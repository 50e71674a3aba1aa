/** The store on disk: what is published, what isn't, and what leaves it. */
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { startMirror } from "../../scripts/mirror.ts";
import { prepare, publisher } from "../../scripts/publish.ts";
import { createFakeRegistry, patternBytes } from "../support/fake-registry.ts";
import { listen } from "../support/node/listen.ts";

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

describe("the publisher", () => {
  let server: Server;
  let url: string;

  beforeEach(async () => {
    await prepare(data);
    server = createServer(publisher(data));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  });

  afterEach(() => new Promise((done) => server.close(done)));

  const put = async (key: string, body: Uint8Array<ArrayBuffer>, checksum: string): Promise<number> =>
    (await fetch(url + key, { method: "PUT", body, headers: { "X-Checksum": checksum } })).status;

  test.each(["sha256", "sha512"])("publishes what has its %s", async (algorithm) => {
    const hex = checksumOf(content, algorithm);
    expect(await put(keyOf(hex, algorithm), content, `${algorithm}:${hex}`)).toBe(204);
    expect(await readFile(join(data, keyOf(hex, algorithm)))).toEqual(content);
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

  test.each(["x", "blobs/sha256/ab/%2e%2e%2fx", "incoming/x", "blobs/md5/ab/abcd"])(
    "takes no other name than a key of the store: %s",
    async (key) => expect(await put(key, content, `sha256:${checksumOf(content)}`)).toBe(400),
  );
});

test("what was being written when a mirror was killed is cleared away by the next", async () => {
  await prepare(data);
  await writeFile(join(data, "incoming", "half"), content);
  await prepare(data);
  expect(await filesIn(data)).toEqual([]);
});

test("a mirror's store is brought under its limit, what was stored first going first", async () => {
  const fake = createFakeRegistry({ auth: "none" });
  const registry = await listen(fake);
  const layers = [patternBytes(60_000, 1), patternBytes(60_000, 2), patternBytes(60_000, 3)];
  const image = await fake.addImage("owner/image", "latest", { layers });
  const mirror = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data,
    upstreams: { "registry.test": [registry.url] },
    vars: { CACHE_LIMIT: "150 kB" },
  });
  try {
    const digests = image.layers.map(({ digest }) => digest.replace("sha256:", ""));
    const blobs = () => filesIn(join(data, "store", "blobs")).catch(() => []);
    for (const [index, digest] of digests.entries()) {
      await fetch(`${mirror.url}/v2/registry.test/owner/image/blobs/sha256:${digest}`).then((r) => r.bytes());
      await expect.poll(blobs).toHaveLength(index + 1);
      // The file system tells when a file was stored to the second.
      await new Promise((resolve) => setTimeout(resolve, 1100));
    }
    await mirror.tidy();
    expect((await blobs()).sort()).toEqual(digests.slice(1).sort());
  } finally {
    await mirror.stop();
    await registry.close();
  }
});
