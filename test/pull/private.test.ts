/** Private images: pulled with the operator's login for holders of keys that PRIVATE permits, and for no other client. */
import { beforeEach, describe, expect, test } from "vitest";
import { basic, KEY, KEYED, NARROW } from "../access/keyed.ts";
import { behaviours, type Image, patternBytes } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const OWNER = { username: "owner", password: "hunter2" };
const mirror = useMirror({
  ...KEYED,
  PRIVATE: ["docker.io/owner/*", "docker.io/library/*"],
  UPSTREAM_CREDENTIALS: { "docker.io": [OWNER] },
});
const SECRET = patternBytes(50_000, 7);
let secret: Image;
let other: Image;
let paths: { tag: string; manifest: string; config: string; blob: string };

beforeEach(async () => {
  mirror.docker.settings.credentials = [OWNER];
  secret = await mirror.docker.addImage("owner/secret", "latest", { layers: [SECRET] });
  other = await mirror.docker.addImage("owner/other", "latest", { layers: [patternBytes(1000, 8)] });
  for (const name of ["owner/secret", "owner/other"]) mirror.docker.setVisibility(name, "private");
  paths = {
    tag: "/v2/owner/secret/manifests/latest",
    manifest: `/v2/owner/secret/manifests/${secret.target.digest}`,
    config: `/v2/owner/secret/blobs/${secret.configs[0]?.digest}`,
    blob: `/v2/owner/secret/blobs/${secret.layers[0]?.digest}`,
  };
});

const pull = (path: string, key = KEY, init: RequestInit = {}): Promise<MirrorResponse> =>
  mirror.request(path, { ...init, headers: { ...basic(key), ...init.headers } });
const statusOf = async (...requested: Parameters<typeof pull>) => (await pull(...requested)).status;

async function pullAll(): Promise<void> {
  for (const path of Object.values(paths)) expect(await statusOf(path)).toBe(200);
}

const later = (milliseconds: number) => {
  mirror.clock.ahead += milliseconds;
};

describe("a private image that PRIVATE names", () => {
  test("is pulled with a key, and from the store the next time", async () => {
    await pullAll();
    mirror.newIsolate();
    mirror.docker.reset();
    const response = await pull(paths.blob);
    expect([response.status, response.bytes.byteLength]).toEqual([200, SECRET.byteLength]);
    expect(response.headers.get("Cache-Status")).toBe("Portolan; hit; detail=store");
    expect(response.headers.get("Cache-Control")).toMatch(/^private,/);
    expect(mirror.docker.count({ kind: "storage", method: "GET" })).toBe(0);
    const range = await pull(paths.blob, KEY, { headers: { Range: "bytes=10-19" } });
    expect([range.status, [...range.bytes]]).toEqual([206, [...SECRET.slice(10, 20)]]);
  });

  test("is stored apart from public content: objects, links and tag records", async () => {
    await pullAll();
    const stored = await mirror.stored();
    expect(stored.length).toBeGreaterThan(0);
    for (const key of stored) expect(key).toMatch(/^(private\/|links\/docker\.io\/owner\/secret\/_\/)/);
    const { keys } = await mirror.bindings.TAGS.list();
    expect(keys.map(({ name }) => name)).toEqual(["private/tags/docker.io/owner/secret/latest"]);
  });

  test("is fetched once for concurrent requests, and filled after a client disconnects or a put fails", async () => {
    mirror.docker.settings.credentials = [OWNER];
    const answers = await Promise.all([1, 2, 3, 4].map(() => pull(paths.tag)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(mirror.docker.count({ method: "GET", kind: "manifest", status: 200 })).toBe(1);
    const put = mirror.outage("STORE", "put");
    expect(await statusOf(paths.blob)).toBe(200);
    put.mockRestore();
    const digest = secret.layers[0]?.digest ?? "";
    const link = `links/docker.io/owner/secret/_/${digest.replace(":", "/")}`;
    await mirror.runAlarm(digest);
    await expect.poll(() => mirror.stored()).toContain(link);
  });

  test("is pulled from a registry that serves a manifest only if its type is accepted", async () => {
    const transform = (response: Response, { headers }: Request) =>
      headers.get("Accept")?.includes(secret.target.mediaType)
        ? response
        : new Response(null, { status: 404 });
    mirror.docker.fail({ kind: "manifest", authorized: true }, { transform });
    expect(await statusOf(paths.tag)).toBe(200);
    mirror.newIsolate();
    expect(await statusOf(paths.manifest)).toBe(200);
  });

  test("has its tags and referrers listed", async () => {
    expect((await pull("/v2/owner/secret/tags/list")).json().tags).toEqual(["latest"]);
    expect(await statusOf(`/v2/owner/secret/referrers/${secret.target.digest}`)).toBe(200);
  });

  test("is served while upstream fails, to a key that permits it", async () => {
    await pullAll();
    later(3_600_000);
    mirror.newIsolate();
    mirror.docker.fail({ path: /./ }, behaviours.tooManyRequests(60));
    for (const path of [paths.manifest, paths.blob]) expect(await statusOf(path)).toBe(200);
    const stale = await pull(paths.tag);
    expect([stale.status, stale.headers.get("Cache-Status")]).toEqual([
      200,
      expect.stringContaining("stale"),
    ]);
  });
});

describe("a private image is refused", () => {
  const everyWay = (name: string, image: Image) => [
    `/v2/${name}/manifests/latest`,
    `/v2/${name}/manifests/${image.target.digest}`,
    ...image.layers.map(({ digest }) => `/v2/${name}/blobs/${digest}`),
    `/v2/${name}/tags/list`,
    `/v2/${name}/referrers/${image.target.digest}`,
  ];

  test("to a key that doesn't permit it, by GET, HEAD or Range, cached or not", async () => {
    for (const isStored of [false, true]) {
      if (isStored) await pullAll();
      for (const path of everyWay("owner/secret", secret)) {
        for (const method of ["GET", "HEAD"]) expect(await statusOf(path, NARROW, { method })).toBe(403);
        expect(await statusOf(path, NARROW, { headers: { Range: "bytes=0-9" } })).toBe(403);
      }
    }
  });

  test("through a public repository, another private one, another upstream, or a missing one", async () => {
    await pullAll();
    await mirror.docker.addImage("library/demo", "latest");
    await mirror.ghcr.addImage("owner/secret", "latest", { layers: [patternBytes(10, 1)] });
    const digest = secret.layers[0]?.digest;
    for (const name of ["library/demo", "owner/other", "ghcr.io/owner/secret", "owner/missing"]) {
      for (const rest of [`blobs/${digest}`, `manifests/${secret.target.digest}`]) {
        for (const method of ["GET", "HEAD"]) {
          const response = await pull(`/v2/${name}/${rest}`, KEY, { method });
          expect([name, rest, response.status]).toEqual([
            name,
            rest,
            expect.toSatisfy((status) => [403, 404].includes(status)),
          ]);
          expect(response.headers.get("Content-Length")).not.toBe(String(SECRET.byteLength));
        }
      }
    }
  });

  test("through another private repository that was pulled: each has its own links", async () => {
    await pullAll();
    const layer = `blobs/${other.layers[0]?.digest}`;
    const manifest = `manifests/${other.target.digest}`;
    for (const rest of [layer, manifest]) {
      expect(await statusOf(`/v2/owner/other/${rest}`)).toBe(200);
      for (const method of ["GET", "HEAD"]) {
        expect(await statusOf(`/v2/owner/secret/${rest}`, KEY, { method })).toBe(404);
      }
    }
  });

  test("once upstream denies it to the operator, though all of it is cached", async () => {
    await pullAll();
    mirror.docker.settings.credentials = [{ ...OWNER, repositories: ["owner/other"] }];
    later(6 * 60_000);
    mirror.newIsolate();
    for (const path of everyWay("owner/secret", secret)) {
      for (const method of ["GET", "HEAD"]) {
        const { status } = await pull(path, KEY, { method });
        expect([path, method, status]).toEqual([path, method, 403]);
      }
    }
  });
});

describe("a public repository that PRIVATE names", () => {
  test("is public: fetched anonymously and stored as public", async () => {
    await mirror.docker.addImage("library/demo", "latest");
    expect(await statusOf("/v2/library/demo/manifests/latest")).toBe(200);
    for (const key of await mirror.stored()) expect(key).toMatch(/^manifests\//);
  });

  test("becomes public when upstream publishes it: its content is fetched again, anonymously", async () => {
    await pullAll();
    mirror.docker.setVisibility("owner/secret", "public");
    later(6 * 60_000);
    mirror.newIsolate();
    const digest = secret.layers[0]?.digest ?? "";
    const hex = digest.slice(7);
    const key = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
    expect(await mirror.stored()).not.toContain(key);
    expect(await statusOf(paths.blob)).toBe(200);
    expect(await mirror.stored()).toContain(key);
  });

  test("is private again when upstream makes it private: new content is refused to keys that don't permit it", async () => {
    await mirror.docker.addImage("owner/demo", "latest", { layers: [patternBytes(500, 3)] });
    expect(await statusOf("/v2/owner/demo/manifests/latest")).toBe(200);
    mirror.docker.setVisibility("owner/demo", "private");
    later(6 * 60_000);
    expect(await statusOf("/v2/owner/demo/manifests/latest")).toBe(200);
    const { keys } = await mirror.bindings.TAGS.list();
    expect(keys.map(({ name }) => name)).toContain("private/tags/docker.io/owner/demo/latest");
  });
});

test("nothing of a repository that has just become private is stored as public", async () => {
  const name = "owner/demo";
  await mirror.docker.addImage("library/demo", "latest");
  const before = await mirror.docker.addImage(name, "latest", { layers: [patternBytes(500, 3)] });
  const of = (image: Image) => [
    `/v2/${name}/manifests/${image.target.digest}`,
    ...image.layers.map(({ digest }) => `/v2/${name}/blobs/${digest}`),
  ];
  for (const path of of(before)) expect(await statusOf(path)).toBe(200);
  const open = await mirror.stored();
  mirror.docker.setVisibility(name, "private");
  const after = await mirror.docker.addImage(name, "latest", { layers: [patternBytes(600, 4)] });
  // The first responses may still be anonymous ones; after that it is known to be private.
  for (let round = 0; round < 2; round++)
    for (const path of [...of(after), `/v2/${name}/manifests/latest`]) await pull(path);
  for (const path of of(after)) expect(await statusOf(path)).toBe(200);
  const added = (await mirror.stored()).filter((key) => !open.includes(key));
  for (const key of added) expect(key).toMatch(/^(private|links)\//);
  for (const path of of(after)) {
    const elsewhere = path.replace(name, "library/demo");
    for (const one of [path, elsewhere]) expect([one, await statusOf(one, NARROW)]).not.toEqual([one, 200]);
  }
});

test("the operator's login is sent to the primary and its realm alone", async () => {
  await pullAll();
  const shown = `Basic ${btoa("owner:hunter2")}`;
  const hosts = mirror.docker.requests
    .filter(({ headers }) => headers.authorization === shown)
    .map(({ host }) => host);
  expect(new Set(hosts)).toEqual(new Set(["auth.docker.io"]));
  const toStorage = mirror.docker.requests.filter(({ kind }) => kind === "storage");
  expect(toStorage.length).toBeGreaterThan(0);
  for (const { headers } of toStorage) expect(headers.authorization).toBeUndefined();
});
