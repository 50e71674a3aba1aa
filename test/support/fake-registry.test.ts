/** The fake registry's own behaviour: what tests of the mirror rely on when they trust it to be a registry. */
import { describe, expect, it } from "vitest";
import type { FakeRegistry } from "./fake-registry.ts";
import {
  behaviours,
  createFakeNetwork,
  createFakeRegistry,
  gunzip,
  patternBytes,
  profiles,
  tarLayer,
  utf8,
} from "./fake-registry.ts";

const ORIGIN = "https://registry.test";
const OPEN = { auth: "none" } as const;
const OCI_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

async function bytesOf(response: Response): Promise<Uint8Array> {
  return new Uint8Array(await response.arrayBuffer());
}

async function errorCode(response: Response): Promise<unknown> {
  const { errors } = await response.json<{ errors: { code: string }[] }>();
  return errors[0]?.code;
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes)));
  return `sha256:${Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function tokenFor(fake: FakeRegistry, scope: string, authorization?: string): Promise<string> {
  const url = new URL("https://auth.test/token?service=registry.test");
  url.searchParams.set("scope", scope);
  const response = await fake.fetch(url, authorization ? { headers: { authorization } } : {});
  expect(response.status).toBe(200);
  const { token } = await response.json<{ token: string }>();
  return token;
}

describe("manifests", () => {
  it("are served by tag and by digest with the exact bytes, type, length and digest", async () => {
    const fake = createFakeRegistry(OPEN);
    const { target } = await fake.addImage("library/alpine", "3", {});
    for (const reference of ["3", target.digest]) {
      const response = await fake.fetch(`${ORIGIN}/v2/library/alpine/manifests/${reference}`);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe("application/vnd.oci.image.manifest.v1+json");
      expect(response.headers.get("content-length")).toBe(String(target.size));
      expect(response.headers.get("docker-content-digest")).toBe(target.digest);
      expect(await sha256(await bytesOf(response))).toBe(target.digest);
    }
  });

  it("response HEAD with the headers of GET and no body", async () => {
    const fake = createFakeRegistry(OPEN);
    const { target } = await fake.addImage("library/alpine", "3");
    const response = await fake.fetch(`${ORIGIN}/v2/library/alpine/manifests/3`, { method: "HEAD" });
    expect(response.headers.get("content-length")).toBe(String(target.size));
    expect((await bytesOf(response)).byteLength).toBe(0);
    expect(fake.bytesSent).toBe(0);
  });

  it("are found in repositories named like endpoints", async () => {
    const fake = createFakeRegistry(OPEN);
    await fake.addImage("a/manifests/blobs/tags", "list");
    const response = await fake.fetch(`${ORIGIN}/v2/a/manifests/blobs/tags/manifests/list`);
    expect(response.status).toBe(200);
    expect(fake.requests[0]?.repository).toBe("a/manifests/blobs/tags");
  });

  it("keep given bytes to the letter, malformed JSON and sha512 included", async () => {
    const fake = createFakeRegistry(OPEN);
    const stored = await fake.addManifest("a/b", utf8("{ not json"), { tag: "bad", algorithm: "sha512" });
    expect(stored.digest).toMatch(/^sha512:[a-f0-9]{128}$/);
    const response = await fake.fetch(`${ORIGIN}/v2/a/b/manifests/${stored.digest}`);
    expect(await response.text()).toBe("{ not json");
  });

  it("differ by Accept where a tag has variants", async () => {
    const fake = createFakeRegistry(OPEN);
    await fake.addImage("a/b", "1", { platforms: ["linux/amd64", "linux/arm64/v8"] });
    const docker = await fake.addImage("a/b", "docker", { format: "docker" });
    fake.addVariant("a/b", "1", docker.target.digest);
    const typeFor = async (accept: string) => {
      const response = await fake.fetch(`${ORIGIN}/v2/a/b/manifests/1`, { headers: { accept } });
      return response.headers.get("content-type");
    };
    expect(await typeFor(OCI_TYPES)).toBe("application/vnd.oci.image.index.v1+json");
    expect(await typeFor(docker.target.mediaType)).toBe(docker.target.mediaType);
    expect(await typeFor("text/plain")).toBe("application/vnd.oci.image.index.v1+json");
  });

  it("become schema 1 without a modern Accept, if so set", async () => {
    const fake = createFakeRegistry({ ...OPEN, schema1WithoutAccept: true });
    await fake.addImage("a/b", "1");
    const old = await fake.fetch(`${ORIGIN}/v2/a/b/manifests/1`);
    expect(old.headers.get("content-type")).toContain("manifest.v1+prettyjws");
    const current = await fake.fetch(`${ORIGIN}/v2/a/b/manifests/1`, { headers: { accept: OCI_TYPES } });
    expect(current.headers.get("content-type")).toBe("application/vnd.oci.image.manifest.v1+json");
  });

  it("are unknown after removal, with the OCI code of what is missing", async () => {
    const fake = createFakeRegistry(OPEN);
    const { target } = await fake.addImage("a/b", "1");
    const other = await fake.addImage("a/b", "2");
    fake.moveTag("a/b", "1", other.target.digest);
    const moved = await fake.fetch(`${ORIGIN}/v2/a/b/manifests/1`);
    expect(moved.headers.get("docker-content-digest")).toBe(other.target.digest);
    fake.removeTag("a/b", "1");
    expect(await errorCode(await fake.fetch(`${ORIGIN}/v2/a/b/manifests/1`))).toBe("MANIFEST_UNKNOWN");
    expect((await fake.fetch(`${ORIGIN}/v2/a/b/manifests/${target.digest}`)).status).toBe(200);
    expect(await errorCode(await fake.fetch(`${ORIGIN}/v2/no/such/manifests/1`))).toBe("NAME_UNKNOWN");
    expect(await errorCode(await fake.fetch(`${ORIGIN}/v2/a/b/manifests/sha256:12`))).toBe("DIGEST_INVALID");
  });
});

describe("images", () => {
  it("hold configs whose diff_ids are the digests of the unpacked layers", async () => {
    const fake = createFakeRegistry(OPEN);
    const image = await fake.addImage("a/b", "1", { platforms: ["linux/amd64", "linux/arm64"] });
    expect(image.manifests).toHaveLength(2);
    expect(image.target).toBe(image.index);
    expect(image.layers).toHaveLength(3);
    const fetchBlob = async (digest: string) => {
      return new Uint8Array(await bytesOf(await fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`)));
    };
    const config = JSON.parse(new TextDecoder().decode(await fetchBlob(image.configs[1]?.digest ?? "")));
    const manifest = JSON.parse(new TextDecoder().decode(image.manifests[1]?.bytes));
    const diffIds = await Promise.all(
      manifest.layers.map(async ({ digest }: { digest: string }) =>
        sha256(await gunzip(await fetchBlob(digest))),
      ),
    );
    expect(config.architecture).toBe("arm64");
    expect(config.rootfs.diff_ids).toEqual(diffIds);
  });

  it("take plain tar layers as they are", async () => {
    const fake = createFakeRegistry(OPEN);
    const layer = tarLayer({ "etc/motd": "hello\n" });
    const { layers } = await fake.addImage("a/b", "1", { layers: [layer] });
    expect(layers).toEqual([
      {
        mediaType: "application/vnd.oci.image.layer.v1.tar",
        digest: await sha256(layer),
        size: layer.byteLength,
      },
    ]);
  });
});

describe("blobs", () => {
  const bytes = patternBytes(200_000);

  it("come whole, in ranges, or not at all, as RFC 9110 says", async () => {
    const fake = createFakeRegistry(OPEN);
    const { digest } = await fake.addBlob(bytes);
    const get = (headers: Record<string, string>) =>
      fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`, { headers });
    expect(await bytesOf(await get({}))).toEqual(bytes);

    const middle = await get({ range: "bytes=100-70099" });
    expect(middle.status).toBe(206);
    expect(middle.headers.get("content-range")).toBe("bytes 100-70099/200000");
    expect(middle.headers.get("content-length")).toBe("70000");
    expect(await bytesOf(middle)).toEqual(bytes.slice(100, 70_100));

    expect(await bytesOf(await get({ range: "bytes=199990-" }))).toEqual(bytes.slice(199_990));
    expect(await bytesOf(await get({ range: "bytes=-10" }))).toEqual(bytes.slice(199_990));
    const beyond = await get({ range: "bytes=200000-" });
    expect(beyond.status).toBe(416);
    expect(beyond.headers.get("content-range")).toBe("bytes */200000");

    expect((await get({ range: "bytes=0-9", "if-range": `"${digest}"` })).status).toBe(206);
    expect((await get({ range: "bytes=0-9", "if-range": '"other"' })).status).toBe(200);
    fake.settings.ranges = false;
    expect((await get({ range: "bytes=0-9" })).status).toBe(200);
  });

  it("count only the bytes that were read", async () => {
    const fake = createFakeRegistry(OPEN);
    const { digest } = await fake.addBlob(bytes);
    const response = await fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`);
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    expect(fake.bytesSent).toBeGreaterThan(0);
    expect(fake.bytesSent).toBeLessThan(bytes.byteLength);
  });

  it("end with an error once the caller's signal is aborted", async () => {
    const fake = createFakeRegistry(OPEN);
    const { digest } = await fake.addBlob(bytes);
    const leaving = new AbortController();
    const response = await fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`, { signal: leaving.signal });
    leaving.abort();
    await expect(response.arrayBuffer()).rejects.toThrow();
  });

  it("belong to the repositories that hold them, once one does", async () => {
    const fake = createFakeRegistry(OPEN);
    const { layers } = await fake.addImage("secret/app", "1");
    const digest = layers[0]?.digest;
    expect((await fake.fetch(`${ORIGIN}/v2/secret/app/blobs/${digest}`)).status).toBe(200);
    expect(await errorCode(await fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`))).toBe("BLOB_UNKNOWN");
    fake.removeBlob(digest ?? "");
    expect((await fake.fetch(`${ORIGIN}/v2/secret/app/blobs/${digest}`)).status).toBe(404);
  });

  it("may be empty", async () => {
    const fake = createFakeRegistry(OPEN);
    const { digest } = await fake.addBlob(new Uint8Array(0));
    expect(digest).toBe("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const response = await fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`);
    expect(response.headers.get("content-length")).toBe("0");
    expect((await bytesOf(response)).byteLength).toBe(0);
  });
});

describe("redirects", () => {
  it("lead to a storage that takes the signature and refuses everything else", async () => {
    let now = 1_000_000_000_000;
    const fake = createFakeRegistry({ ...OPEN, redirect: "absolute", now: () => now });
    const { digest } = await fake.addBlob(utf8("content"));
    const redirect = await fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`);
    expect(redirect.status).toBe(307);
    const location = redirect.headers.get("location") ?? "";
    expect(location).toMatch(/^https:\/\/storage\.test\/blobs\/sha256:[a-f0-9]{64}\?signature=/);
    expect(await (await fake.fetch(location)).text()).toBe("content");
    const authorization = "Bearer leaked";
    expect((await fake.fetch(location, { headers: { authorization } })).status).toBe(400);
    expect((await fake.fetch(location.split("?")[0] ?? "")).status).toBe(403);
    expect((await fake.fetch(location.replace("signature=", "signature=0"))).status).toBe(403);
    now += 3_600_000;
    expect((await fake.fetch(location)).status).toBe(403);
    expect(fake.count({ kind: "storage" })).toBe(5);
  });

  it("may be relative, for manifests too, with or without the query", async () => {
    const fake = createFakeRegistry({ ...OPEN, redirect: "relative", manifestRedirect: "relative" });
    const { layers } = await fake.addImage("a/b", "1");
    const blob = await fake.fetch(`${ORIGIN}/v2/a/b/blobs/${layers[0]?.digest}`);
    expect(blob.status).toBe(302);
    const location = blob.headers.get("location") ?? "";
    expect(location.startsWith("/artifacts-downloads/")).toBe(true);
    expect((await fake.fetch(new URL(location, ORIGIN))).status).toBe(200);

    const locationOf = async () => {
      const response = await fake.fetch(`${ORIGIN}/v2/a/b/manifests/1?ns=docker.io`);
      return response.headers.get("location") ?? "";
    };
    expect(await locationOf()).toBe("/artifacts-downloads/manifests/a/b/1?ns=docker.io");
    expect((await fake.fetch(new URL(await locationOf(), ORIGIN))).status).toBe(200);
    fake.settings.dropQueryOnManifestRedirect = true;
    expect(await locationOf()).toBe("/artifacts-downloads/manifests/a/b/1");
  });
});

describe("faults", () => {
  async function withBlob() {
    const fake = createFakeRegistry(OPEN);
    const bytes = patternBytes(150_000);
    const { digest } = await fake.addBlob(bytes);
    const get = (init?: RequestInit) => fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`, init);
    return { fake, bytes, digest, get };
  }

  it("act on what they match, as often as configured", async () => {
    const { fake, get } = await withBlob();
    const fault = fake.fail({ kind: "blob", method: "GET", path: /blobs/ }, { status: 503 }, 2);
    expect((await get({ method: "HEAD" })).status).toBe(200);
    expect([(await get()).status, (await get()).status, (await get()).status]).toEqual([503, 503, 200]);
    expect(fault.hits).toBe(2);
    expect(fake.count({ kind: "blob", status: 503 })).toBe(2);
  });

  it("response with an OCI error body and the headers given", async () => {
    const { fake, get } = await withBlob();
    fake.fail({}, behaviours.tooManyRequests(30));
    const response = await get();
    expect(response.headers.get("retry-after")).toBe("30");
    expect(await errorCode(response)).toBe("TOOMANYREQUESTS");
  });

  it("lose the connection before a response or in the middle of one", async () => {
    const { fake, get } = await withBlob();
    fake.fail({}, { network: true }, 1);
    await expect(get()).rejects.toThrow(TypeError);
    expect(fake.requests[0]?.status).toBe(0);
    fake.fail({}, behaviours.cutAfter(70_000), 1);
    const cut = await get();
    expect(cut.headers.get("content-length")).toBe("150000");
    await expect(cut.arrayBuffer()).rejects.toThrow();
    expect((await bytesOf(await get())).byteLength).toBe(150_000);
  });

  it("stall and delay until the caller's signal ends them", async () => {
    const { fake, get } = await withBlob();
    const fault = fake.fail({}, behaviours.stallsAfter(10));
    const leaving = new AbortController();
    const stalled = await get({ signal: leaving.signal });
    leaving.abort();
    await expect(stalled.arrayBuffer()).rejects.toThrow();
    fault.remove();
    fake.fail({}, { delay: 60_000 });
    await expect(get({ signal: AbortSignal.timeout(50) })).rejects.toThrow();
  });

  it("change bodies and headers in every way a proxy does", async () => {
    const { fake, bytes, digest, get } = await withBlob();
    const once = (behaviour: Parameters<FakeRegistry["fail"]>[1]) => {
      fake.fail({ kind: "blob" }, behaviour, 1);
      return get();
    };
    const corrupted = await once(behaviours.corrupted());
    expect(corrupted.headers.get("content-length")).toBe("150000");
    const wrong = await bytesOf(corrupted);
    expect(wrong.byteLength).toBe(150_000);
    expect(await sha256(wrong)).not.toBe(digest);

    const html = await once(behaviours.htmlPage());
    expect(html.status).toBe(200);
    expect(html.headers.get("content-type")).toBe("text/html");

    const empty = await once(behaviours.emptyBody());
    expect(empty.headers.get("docker-content-digest")).toBe(digest);
    expect((await bytesOf(empty)).byteLength).toBe(0);

    expect((await once(behaviours.withoutContentLength())).headers.has("content-length")).toBe(false);
    expect((await once(behaviours.wrongContentLength(-5))).headers.get("content-length")).toBe("149995");
    expect((await bytesOf(await once(behaviours.endsAfter(100)))).byteLength).toBe(100);
    expect(await bytesOf(await once(behaviours.trickle(50_000, 1)))).toEqual(bytes);

    const partial = await once(behaviours.partialToPlainGet());
    expect(partial.status).toBe(206);
    expect(partial.headers.get("content-range")).toBe("bytes 0-74999/150000");

    const changed = await once(behaviours.changedHeaders({ etag: '"new"', "accept-ranges": null }));
    expect(changed.headers.get("etag")).toBe('"new"');
    expect(changed.headers.has("accept-ranges")).toBe(false);

    // Read raw: in process the encoding isn't undone, which is why only a socket shows this fault whole.
    const encoded = await once(behaviours.gzippedOnTheWay());
    expect(encoded.headers.get("content-encoding")).toBe("gzip");
    expect(await gunzip(new Uint8Array(await bytesOf(encoded)))).toEqual(bytes);
  });

  it("redirect in loops, in chains and to forbidden targets", async () => {
    const { fake, digest, get } = await withBlob();
    const handle = fake.fail({}, behaviours.redirectLoop());
    expect((await get()).headers.get("location")).toBe(`${ORIGIN}/v2/a/b/blobs/${digest}`);
    handle.remove();
    const chain = fake.fail({}, behaviours.redirectChain(3));
    let response = await get();
    let hops = 0;
    for (; response.status === 307; hops++)
      response = await fake.fetch(response.headers.get("location") ?? "");
    expect([hops, response.status]).toEqual([3, 200]);
    chain.remove();
    fake.fail({}, behaviours.redirectTo("http://169.254.169.254/latest"));
    expect((await get()).headers.get("location")).toBe("http://169.254.169.254/latest");
  });

  it("aren't used up by a challenge on the way", async () => {
    const fake = createFakeRegistry();
    const { digest } = await fake.addBlob(utf8("content"), { repository: "a/b" });
    const corrupted = fake.fail({ kind: "blob" }, behaviours.corrupted(), 1);
    const refused = fake.fail({ kind: "blob", authorized: true }, { status: 500 }, 1);
    expect((await fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`)).status).toBe(401);
    expect([corrupted.hits, refused.hits]).toEqual([0, 0]);
    const authorization = `Bearer ${await tokenFor(fake, "repository:a/b:pull")}`;
    const get = () => fake.fetch(`${ORIGIN}/v2/a/b/blobs/${digest}`, { headers: { authorization } });
    expect((await get()).status).toBe(500);
    expect(await (await get()).text()).not.toBe("content");
    expect(await (await get()).text()).toBe("content");
  });
});

describe("a network of registries", () => {
  it("chooses by host and remembers who was requested in vain", async () => {
    const hub = createFakeRegistry(profiles["docker.io"]);
    const github = createFakeRegistry(profiles["ghcr.io"]);
    const network = createFakeNetwork(hub, github);
    expect((await network.fetch("https://registry-1.docker.io/v2/")).status).toBe(401);
    const challenge = (await network.fetch("https://ghcr.io/v2/")).headers.get("www-authenticate");
    expect(challenge).toContain('scope="repository:user/image:pull"');
    await expect(network.fetch("https://evil.example/v2/")).rejects.toThrow(TypeError);
    expect(network.strays).toEqual(["evil.example"]);
    expect([hub.requests.length, github.requests.length]).toEqual([1, 1]);
  });
});
