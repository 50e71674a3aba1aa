/** The store of one machine under its limits: real pulls beyond CACHE_LIMIT and MIN_FREE, and reads while content leaves. */
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FreeSpace } from "../../../scripts/local/free-space.ts";
import { type RunningMirror, startMirror } from "../../../scripts/local/mirror.ts";
import { createFakeRegistry, type Image, patternBytes } from "../../support/fake-registry.ts";
import { type Listening, listen } from "../../support/node/listen.ts";

const fake = createFakeRegistry({ auth: "none" });
const BASE = patternBytes(40_000, 1);

let registry: Listening;
let data: string;
let mirror: RunningMirror | null = null;
let images: Image[];

beforeAll(async () => {
  registry = await listen(fake);
  images = [];
  for (let index = 0; index < 8; index++) {
    const layers = [BASE, patternBytes(60_000, index + 2)];
    images.push(await fake.addImage(`owner/app${index}`, "1", { layers }));
  }
});
afterAll(() => registry.close());
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), "portolan-eviction-"));
});
afterEach(async () => {
  await mirror?.stop();
  mirror = null;
  await rm(data, { recursive: true, force: true, maxRetries: 5 });
});

async function start(vars: Record<string, string>): Promise<void> {
  mirror = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data,
    upstreams: { "registry.test": [registry.url] },
    insecure: ["registry.test"],
    vars,
    timing: { trafficGather: 1 },
  });
}

async function get(path: string): Promise<Uint8Array> {
  const response = await fetch(`${mirror?.url}/v2/registry.test/${path}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  expect([path, response.status]).toEqual([path, 200]);
  return bytes;
}

/** As a client does: the manifest by its tag, then the blobs. */
async function pull(index: number): Promise<void> {
  const image = images[index] as Image;
  expect(await get(`owner/app${index}/manifests/1`)).toEqual(image.target.bytes);
  for (const { digest } of [...image.configs, ...image.layers])
    expect(digestOf(await get(`owner/app${index}/blobs/${digest}`))).toBe(digest);
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** Bytes of all files in the store. */
async function storedBytes(): Promise<number> {
  const entries = await readdir(join(data, "store"), { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map(async ({ parentPath, name }) => (await stat(join(parentPath, name)).catch(() => null))?.size ?? 0);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

interface Account {
  images: { names: { name: string }[]; isWhole: boolean; isPinned: boolean }[];
  unreferenced: { objects: number };
  evicted: number;
}

async function owner(path: string, init: RequestInit = {}): Promise<Account> {
  const key = (await readFile(join(data, "admin-key"), "utf8")).trim();
  const response = await fetch(`${mirror?.url}/_/${path}`, {
    ...init,
    headers: { Authorization: `Bearer ${key}` },
  });
  expect(response.status).toBe(200);
  return response.json() as Promise<Account>;
}

describe("pulls beyond CACHE_LIMIT", () => {
  test("leave the store under it, its images whole, and what is pinned in it", async () => {
    await start({ CACHE_LIMIT: "350 kB", PIN: "registry.test/owner/app0" });
    for (let index = 0; index < images.length; index++) {
      await pull(index);
      await expect.poll(storedBytes).toBeLessThanOrEqual(350_000);
    }
    const names = async () => {
      const account = await owner("images");
      return account.images
        .filter(({ isWhole }) => isWhole)
        .flatMap((image) => image.names.map(({ name }) => name));
    };
    await expect.poll(names).toContain("registry.test/owner/app7:1");
    expect(await names()).toContain("registry.test/owner/app0:1");
    const { evicted, images: kept } = await owner("images");
    expect(kept.every(({ isWhole }) => isWhole)).toBe(true);
    expect(kept.length).toBeLessThan(images.length);
    expect(evicted).toBeGreaterThan(100_000);
    // What has left is pulled again as if it had never been there.
    for (let index = 0; index < images.length; index++) await pull(index);
    await expect.poll(storedBytes).toBeLessThanOrEqual(350_000);
  });

  test("that a client still reads go on to their end while the content leaves", async () => {
    await start({ CACHE_LIMIT: "1 GB" });
    const large = patternBytes(24_000_000, 20);
    const { digest } = await fake.addBlob(large, { repository: "owner/app0" });
    await get(`owner/app0/blobs/${digest}`);
    await expect.poll(storedBytes).toBeGreaterThanOrEqual(large.byteLength);
    fake.reset();
    const response = await fetch(`${mirror?.url}/v2/registry.test/owner/app0/blobs/${digest}`);
    const reader = response.body?.getReader();
    const hash = createHash("sha256");
    const first = await reader?.read();
    hash.update(first?.value ?? "");
    const file = join(data, "store/blobs/sha256", digest.slice(7, 9), digest.slice(7));
    await rm(file);
    for (;;) {
      const next = await reader?.read();
      if (!next || next.done) break;
      hash.update(next.value);
    }
    expect(`sha256:${hash.digest("hex")}`).toBe(digest);
    expect(fake.requests.filter(({ kind }) => kind === "blob")).toEqual([]);
  });
});

test("a client that follows a fill gets the rest of it, although the content has left the store by then", async () => {
  await start({ CACHE_LIMIT: "1 GB" });
  const large = patternBytes(48_000_000, 21);
  const { digest } = await fake.addBlob(large, { repository: "owner/app0" });
  const response = await fetch(`${mirror?.url}/v2/registry.test/owner/app0/blobs/${digest}`);
  const reader = response.body?.getReader();
  const hash = createHash("sha256");
  hash.update((await reader?.read())?.value ?? "");
  const file = join(data, "store/blobs/sha256", digest.slice(7, 9), digest.slice(7));
  await expect
    .poll(() =>
      stat(file).then(
        ({ size }) => size,
        () => 0,
      ),
    )
    .toBe(large.byteLength);
  await rm(file);
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read())
    hash.update(next.value);
  expect(`sha256:${hash.digest("hex")}`).toBe(digest);
});

describe("MIN_FREE", () => {
  test("that isn't met lets pulls go on, unstored, and pushes too", async () => {
    await start({ MIN_FREE: "900000 TB" });
    for (let time = 0; time < 2; time++) await pull(0);
    expect(await storedBytes()).toBe(0);
    const pushed = patternBytes(50_000, 30);
    const digest = digestOf(pushed);
    const { status } = await fetch(`${mirror?.url}/v2/hosted/team/app/blobs/uploads/?digest=${digest}`, {
      method: "POST",
      body: pushed,
    });
    expect(status).toBe(201);
    expect(await storedBytes()).toBe(50_000);
  });

  test("that is lowered has pulls stored again, and evicts what was there to make room", async () => {
    await start({ MIN_FREE: "0 B" });
    await pull(0);
    await pull(1);
    await expect.poll(async () => (await owner("images")).images.length).toBe(2);
    await mirror?.stop();
    await start({ MIN_FREE: "900000 TB" });
    await pull(2);
    await expect.poll(async () => (await owner("images")).images.length).toBeLessThan(2);
  });

  test("is a gigabyte by default, or a twentieth of a small disk", async () => {
    await start({});
    const none = await new FreeSpace(data, 0).left();
    const usual = await new FreeSpace(data, null).left();
    // Others write to the same disk.
    expect(none - usual).toBeGreaterThan(0);
    await expect(new FreeSpace(data, Number.MAX_SAFE_INTEGER).require(1)).rejects.toMatchObject({
      code: "ENOSPC",
    });
    await new FreeSpace(data, 0).require(1);
  });
});
