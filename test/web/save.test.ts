/** Images as a tar: every byte of it, any part of it, and who gets it. */
import { describe, expect, test, vi } from "vitest";
import { EMPTY_OBJECT_DIGEST } from "../../src/oci/digest.ts";
import { basic, KEY, KEYED, NARROW } from "../access/keyed.ts";
import { type MirrorResponse, type TestMirror, useMirror } from "../support/mirror.ts";
import { publish } from "./support.ts";

const LOCAL = { LOOPBACK: true };
const HOST = "localhost";
const NAME = "docker.io/library/nginx:1.27";

interface Entry {
  path: string;
  bytes: Uint8Array;
}

/** Reads a tar as programs do that know nothing of Portolan. */
function entriesIn(tar: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  const field = (at: number, length: number) =>
    new TextDecoder().decode(tar.subarray(at, at + length)).replace(/[\0 ].*$/s, "");
  let at = 0;
  for (; tar[at] !== 0; ) {
    const sum = tar
      .subarray(at, at + 512)
      .reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte), 0);
    expect(Number.parseInt(field(at + 148, 8), 8)).toBe(sum);
    const size = Number.parseInt(field(at + 124, 12), 8);
    entries.push({ path: field(at, 100), bytes: tar.slice(at + 512, at + 512 + size) });
    at += 512 + Math.ceil(size / 512) * 512;
  }
  expect(tar.byteLength - at).toBe(1024);
  return entries;
}

async function hexOf(bytes: Uint8Array): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Pulls an image as a client does, so that it is stored. */
async function pull(
  mirror: TestMirror,
  name = NAME,
  init: RequestInit & { host?: string } = {},
): Promise<void> {
  const [, path, tag] = /^(.*):(.*)$/.exec(name) ?? [];
  const get = (rest: string) => mirror.request(`/v2/${path}/${rest}`, init);
  const index = (await get(`manifests/${tag}`)).json() as { manifests: { digest: string }[] };
  for (const { digest } of index.manifests) {
    const { config, layers } = (await get(`manifests/${digest}`)).json() as {
      config: { digest: string };
      layers: { digest: string }[];
    };
    for (const blob of [config, ...layers]) expect((await get(`blobs/${blob.digest}`)).status).toBe(200);
  }
}

const jsonOf = (entries: Entry[], path: string) =>
  JSON.parse(new TextDecoder().decode(entries.find((each) => each.path === path)?.bytes));

describe("on loopback", () => {
  const mirror = useMirror(LOCAL);
  const stored = async (sizes?: number[]) => {
    const published = await publish(mirror.docker, "library/nginx", "1.27", sizes);
    await pull(mirror, NAME, { host: HOST });
    return published;
  };
  const save = (suffix = "", headers: Record<string, string> = {}, method = "GET") =>
    mirror.request(`/_/save/${NAME}${suffix}`, { method, headers, host: HOST });

  test("an image is an OCI layout of one platform, which Docker reads too", async () => {
    const { layers } = await stored();
    const response = await save();
    expect(response.status).toBe(200);
    expect(response.headers.get("Content-Length")).toBe(String(response.bytes.byteLength));
    expect(response.headers.get("Content-Disposition")).toBe('attachment; filename="nginx-1.27.tar"');
    const entries = entriesIn(response.bytes);
    for (const { path, bytes } of entries) {
      if (path.startsWith("blobs/")) expect(path).toBe(`blobs/sha256/${await hexOf(bytes)}`);
    }
    expect(entries.slice(-3).map(({ path }) => path)).toEqual(["manifest.json", "oci-layout", "index.json"]);
    const [image] = jsonOf(entries, "manifest.json");
    expect(image.RepoTags).toEqual(["nginx:1.27"]);
    expect(image.Layers).toEqual(layers.map(({ digest }) => `blobs/sha256/${digest.slice(7)}`));
    const [{ digest, annotations }] = jsonOf(entries, "index.json").manifests;
    expect(annotations["io.containerd.image.name"]).toBe(NAME);
    const manifest = jsonOf(entries, `blobs/sha256/${digest.slice(7)}`);
    expect(image.Config).toBe(`blobs/sha256/${manifest.config.digest.slice(7)}`);
  });

  test("any part of it is what the whole has there, and the same again from the store", async () => {
    await stored();
    const whole = await save();
    const size = whole.bytes.byteLength;
    const etag = whole.headers.get("ETag") ?? "";
    for (const [first, last] of [
      [0, 0],
      [511, 513],
      [1000, 5000],
      [700, size - 1],
      [size - 1, size - 1],
      [3, size - 2],
    ] as const) {
      const part = await save("", { Range: `bytes=${first}-${last}`, "If-Range": etag });
      expect([part.status, part.headers.get("Content-Range")]).toEqual([
        206,
        `bytes ${first}-${last}/${size}`,
      ]);
      expect(part.bytes).toEqual(whole.bytes.slice(first, last + 1));
    }
    expect((await save("", { Range: "bytes=-10" })).bytes).toEqual(whole.bytes.slice(-10));
    expect((await save("", { Range: `bytes=${size}-` })).status).toBe(416);
    expect((await save("", { Range: "bytes=5-9", "If-Range": '"another"' })).bytes).toEqual(whole.bytes);
    expect((await save("", { "If-None-Match": etag })).status).toBe(304);
    const head = await save("", {}, "HEAD");
    expect([head.headers.get("Content-Length"), head.headers.get("ETag")]).toEqual([String(size), etag]);
    expect((await save()).bytes).toEqual(whole.bytes);
  });

  test("another platform, and another image under the same tag, is another tar; the digest keeps the first", async () => {
    const { digest } = await stored();
    const first = await save();
    const arm = await save("?platform=linux%2Farm64");
    expect(arm.headers.get("ETag")).not.toBe(first.headers.get("ETag"));
    expect((await save("?platform=plan9%2Famd64")).status).toBe(404);
    mirror.clock.ahead += 600_000;
    await stored([10]);
    expect((await save()).headers.get("ETag")).not.toBe(first.headers.get("ETag"));
    const exact = await save(`@${digest}`);
    expect(exact.bytes).toEqual(first.bytes);
  });

  test("an image named by its digest alone gets no tag", async () => {
    const { digest } = await stored();
    const response = await mirror.request(`/_/save/docker.io/library/nginx@${digest}`, { host: HOST });
    const entries = entriesIn(response.bytes);
    expect(jsonOf(entries, "index.json").manifests).toEqual([
      expect.not.objectContaining({ annotations: expect.anything() }),
    ]);
    expect(jsonOf(entries, "manifest.json")).toEqual([
      expect.not.objectContaining({ RepoTags: [expect.anything()] }),
    ]);
    expect(response.headers.get("Content-Disposition")).toMatch(/"nginx-[0-9a-f]{12}\.tar"/);
  });

  test("a layer that mustn't be distributed is refused", async () => {
    const blob = await mirror.docker.addBlob(new Uint8Array(10).fill(7), { repository: "library/foreign" });
    const mediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    const manifest = {
      ...{ schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json" },
      config: { mediaType: "application/vnd.oci.image.config.v1+json", ...blob },
      layers: [{ mediaType, ...blob }],
    };
    await mirror.docker.addManifest("library/foreign", manifest, { tag: "1" });
    await mirror.request(`/v2/library/foreign/blobs/${blob.digest}`, { host: HOST });
    const response = await mirror.request("/_/save/docker.io/library/foreign:1", { host: HOST });
    expect([response.status, JSON.stringify(response.json())]).toEqual([
      403,
      expect.stringContaining("mustn't be distributed"),
    ]);
  });

  test("what isn't stored is refused, and what goes while it is sent leaves the tar incomplete", async () => {
    const { layers } = await publish(mirror.docker, "library/nginx", "1.27");
    const refused = await save();
    expect([refused.status, refused.json()]).toEqual([
      404,
      {
        errors: [
          expect.objectContaining({ message: expect.stringContaining("isn't stored here: pull the image") }),
        ],
      },
    ]);
    expect(mirror.docker.requests.filter(({ kind }) => kind === "blob")).toEqual([]);
    await pull(mirror, NAME, { host: HOST });
    const { store } = mirror.services;
    const get = store.get.bind(store);
    const last = layers[2]?.digest.slice(7) ?? "none";
    vi.spyOn(store, "get").mockImplementation((key, ...rest) =>
      key.includes(last) ? Promise.resolve(null) : get(key, ...rest),
    );
    expect(await save()).toMatchObject({ status: 200, broken: true });
  });

  test("a blob that is shorter than its manifest says puts no other bytes in its place", async () => {
    const { digest } = await mirror.docker.addBlob(new Uint8Array(10), { repository: "library/wrong" });
    const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest, size: 11 };
    const manifest = {
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      config,
      layers: [],
    };
    const added = await mirror.docker.addManifest("library/wrong", manifest);
    mirror.docker.moveTag("library/wrong", "1", added.digest);
    await mirror.request(`/v2/library/wrong/blobs/${digest}`, { host: HOST });
    vi.spyOn(console, "error").mockReturnValue();
    const response = await mirror.request("/_/save/docker.io/library/wrong:1", { host: HOST });
    expect(response.status).toBe(500);
  });

  test.each([
    ["config", 1000],
    ["layer", 512],
  ])(
    "a well-known %s that has another size by its manifest makes no tar that readers lose their way in",
    async (place, size) => {
      const layer = "application/vnd.oci.image.layer.v1.tar";
      const empty = { digest: EMPTY_OBJECT_DIGEST, size };
      const inside = await mirror.docker.addBlob(new Uint8Array(1024).fill(65), {
        repository: "library/wrong",
      });
      const config = { mediaType: "application/vnd.oci.image.config.v1+json" };
      const added = await mirror.docker.addManifest("library/wrong", {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: { ...config, ...(place === "config" ? empty : inside) },
        layers: [{ mediaType: layer, ...(place === "layer" ? empty : inside) }],
      });
      mirror.docker.moveTag("library/wrong", "1", added.digest);
      await mirror.request(`/v2/library/wrong/blobs/${inside.digest}`, { host: HOST });
      const response = await mirror.request("/_/save/docker.io/library/wrong:1", { host: HOST });
      expect([response.status, JSON.stringify(response.json())]).toEqual([
        403,
        expect.stringContaining(`isn't ${size} bytes long`),
      ]);
    },
  );

  test("the page of an image leads to the tar of the image that it shows, once that is stored", async () => {
    const page = async () =>
      new TextDecoder().decode(
        (await mirror.request(`/_/image/${NAME}`, { host: HOST, headers: { Accept: "text/html" } })).bytes,
      );
    const { digest } = await publish(mirror.docker, "library/nginx", "1.27");
    expect(await page()).not.toContain("/_/save/");
    await pull(mirror, NAME, { host: HOST });
    const [, address = ""] = /href="(\/_\/save\/[^"]*)"/.exec(await page()) ?? [];
    expect(address).toBe(`/_/save/${NAME}@${digest}?platform=linux%2Famd64`);
    const saved = await mirror.request(address, { host: HOST });
    expect(saved.bytes).toEqual((await save()).bytes);
  });

  test("a name of the mirror that isn't loopback's gives none", async () => {
    await stored();
    const response = await mirror.request(`/_/save/${NAME}`, { host: "host.docker.internal" });
    expect(response.status).toBe(403);
  });
});

describe("on Cloudflare", () => {
  const mirror = useMirror({ ...LOCAL, VERSION: { id: "1", tag: "", timestamp: "" } });

  test("an image of more blobs than one request may read is refused in words", async () => {
    await publish(
      mirror.docker,
      "library/nginx",
      "1.27",
      Array.from({ length: 30 }, () => 10),
    );
    await pull(mirror, NAME, { host: HOST });
    const response = await mirror.request(`/_/save/${NAME}`, { host: HOST });
    expect(response.status).toBe(404);
    expect(JSON.stringify(response.json())).toContain("not all layers of the image could be looked up");
  });
});

describe("on an open mirror for others", () => {
  const mirror = useMirror();
  test("nothing is saved", async () => {
    await publish(mirror.docker, "library/nginx", "1.27");
    const response = await mirror.request(`/_/save/${NAME}`);
    expect([response.status, mirror.docker.requests]).toEqual([403, []]);
    const html = await mirror.request(`/_/image/${NAME}`, { headers: { Accept: "text/html" } });
    expect(new TextDecoder().decode(html.bytes)).not.toContain("/_/save/");
  });
});

describe("on a mirror with keys", () => {
  const mirror = useMirror(KEYED);
  const save = (headers: Record<string, string> = {}, name = NAME) =>
    mirror.request(`/_/save/${name}`, { headers });

  test("an image is for holders of keys that open it", async () => {
    await publish(mirror.docker, "library/nginx", "1.27");
    await publish(mirror.docker, "other/nginx", "1.27");
    await pull(mirror, NAME, { headers: basic(KEY) });
    await pull(mirror, "docker.io/other/nginx:1.27", { headers: basic(KEY) });
    mirror.docker.requests.length = 0;
    const anonymous: MirrorResponse = await save();
    expect([anonymous.status, anonymous.headers.get("WWW-Authenticate")]).toEqual([
      401,
      'Basic realm="mirror.test"',
    ]);
    expect((await save(basic(`${KEY.slice(0, -1)}x`))).status).toBe(401);
    const visitor = await save({ Accept: "text/html" });
    expect([visitor.status, visitor.headers.get("Location")]).toEqual([
      303,
      expect.stringContaining("/_/session"),
    ]);
    expect(mirror.docker.requests).toEqual([]);
    const response = await save(basic(KEY));
    expect([response.status, response.headers.get("Cache-Control")]).toEqual([200, "private, no-cache"]);
    entriesIn(response.bytes);
    expect((await save(basic(NARROW), "docker.io/other/nginx:1.27")).status).toBe(403);
  });
});
