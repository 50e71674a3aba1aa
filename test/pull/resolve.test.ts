/** Resolving tags: moved, deleted, with incomplete upstream responses, and with unreliable tag records. */
import { beforeEach, describe, expect, test } from "vitest";
import { behaviours, type Image } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const KEY = "tags/docker.io/library/demo/latest";
const TTL = 300_000;
const DAY = 24 * 3600 * 1000;

const mirror = useMirror();
const tag = "/v2/library/demo/manifests/latest";
let image: Image;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest");
});

function requested(): string[] {
  return mirror.docker.requests
    .filter(({ kind, status }) => kind === "manifest" && status !== 401)
    .map(({ method, path, status }) => `${method} ${path.slice(path.lastIndexOf("/") + 1)} ${status}`);
}

async function record(): Promise<Record<string, unknown> | null> {
  return mirror.bindings.TAGS.get(KEY, "json");
}

/** Pulls the tag once and lets it expire, in a new isolate. */
async function expireTag(): Promise<void> {
  expect((await mirror.request(tag)).status).toBe(200);
  mirror.clock.ahead += TTL + 1000;
  mirror.newIsolate();
  mirror.docker.reset();
}

describe("an expired tag", () => {
  test("that has moved costs a HEAD and one GET, and is served as it is now", async () => {
    await expireTag();
    const moved = await mirror.docker.addImage("library/demo", "latest", { platforms: ["linux/arm64"] });
    const { headers, bytes } = await mirror.request(tag);
    expect(headers.get("Docker-Content-Digest")).toBe(moved.target.digest);
    expect(bytes.byteLength).toBe(moved.target.size);
    expect(requested()).toEqual(["HEAD latest 200", "GET latest 200"]);
    expect(await record()).toMatchObject({ digest: moved.target.digest, size: moved.target.size });
  });

  test("that has moved costs only a HEAD if the client sent HEAD", async () => {
    await expireTag();
    const moved = await mirror.docker.addImage("library/demo", "latest", { platforms: ["linux/arm64"] });
    const { headers } = await mirror.request(tag, { method: "HEAD" });
    expect(headers.get("Docker-Content-Digest")).toBe(moved.target.digest);
    expect(requested()).toEqual(["HEAD latest 200"]);
  });

  test("has its record rewritten once that is a day old, and not before", async () => {
    await expireTag();
    mirror.operations();
    await mirror.request(tag);
    expect(mirror.operations().kvWrites).toBe(0);
    mirror.clock.ahead += DAY;
    await mirror.request(tag);
    expect(mirror.operations().kvWrites).toBe(1);
  });

  test("that was deleted upstream is 404, and its record is removed from every tier", async () => {
    await expireTag();
    mirror.docker.removeTag("library/demo", "latest");
    const { status, json } = await mirror.request(tag);
    expect(status).toBe(404);
    expect(json().errors).toEqual([expect.objectContaining({ code: "MANIFEST_UNKNOWN" })]);
    expect(await record()).toBe(null);
    mirror.newIsolate();
    mirror.docker.fail({}, { network: true });
    expect((await mirror.request(tag)).status).toBe(503);
  });
});

describe("an upstream", () => {
  test.each([405, 400, 501])("that answers HEAD with %i is sent a GET", async (status) => {
    mirror.docker.fail({ kind: "manifest", method: "HEAD", authorized: true }, { status });
    const head = await mirror.request(tag, { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(head.headers.get("Docker-Content-Digest")).toBe(image.target.digest);
    expect(head.headers.get("Content-Length")).toBe(String(image.target.size));
    await expireTag();
    mirror.docker.fail({ kind: "manifest", method: "HEAD", authorized: true }, { status });
    expect((await mirror.request(tag)).status).toBe(200);
    expect(requested()).toEqual([`HEAD latest ${status}`, "GET latest 200"]);
  });

  test("that names no digest has it computed by the mirror", async () => {
    mirror.docker.settings.digestHeader = false;
    for (const method of ["HEAD", "GET"]) {
      const { status, headers } = await mirror.request(tag, { method });
      expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
    }
  });

  test.each([{ "content-length": null }, { "content-length": "0" }, { "content-type": "text/html" }])(
    "whose HEAD response is incomplete is sent a GET: %o",
    async (changes) => {
      mirror.docker.fail({ kind: "manifest", method: "HEAD" }, behaviours.changedHeaders(changes));
      const { status, headers } = await mirror.request(tag, { method: "HEAD" });
      expect(status).toBe(200);
      expect(headers.get("Content-Length")).toBe(String(image.target.size));
      expect(headers.get("Content-Type")).toBe("application/vnd.oci.image.manifest.v1+json");
    },
  );
});

describe("a tag record", () => {
  test("holds the tag's digest and when it was confirmed", async () => {
    const before = Date.now();
    await mirror.request(tag);
    const { confirmed, ...rest } = (await record()) ?? {};
    expect(rest).toEqual({
      digest: image.target.digest,
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      size: image.target.size,
    });
    expect(Number(confirmed)).toBeGreaterThanOrEqual(before);
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    '{"digest":"sha256:abc","mediaType":"x/y","size":1,"confirmed":1}',
    '{"digest":"sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709","mediaType":"x/y","size":1,"confirmed":1}',
    '{"version":2,"target":"elsewhere"}',
  ])("that is damaged or of another version counts as none: %s", async (text) => {
    await mirror.bindings.TAGS.put(KEY, text);
    const { status, headers } = await mirror.request(tag);
    expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
    expect(await record()).toMatchObject({ digest: image.target.digest });
  });

  test("from a clock far ahead doesn't pin the tag until then", async () => {
    await mirror.request(tag);
    await mirror.bindings.TAGS.put(
      KEY,
      JSON.stringify({ ...(await record()), confirmed: Date.now() + 365 * DAY }),
    );
    mirror.clock.ahead += TTL + 1000;
    mirror.newIsolate();
    const moved = await mirror.docker.addImage("library/demo", "latest", { platforms: ["linux/arm64"] });
    expect((await mirror.request(tag)).headers.get("Docker-Content-Digest")).toBe(moved.target.digest);
  });

  test("whose content isn't stored has it fetched by digest", async () => {
    const { digest, mediaType, size } = image.target;
    await mirror.bindings.TAGS.put(KEY, JSON.stringify({ digest, mediaType, size, confirmed: Date.now() }));
    const { status, bytes } = await mirror.request(tag);
    expect([status, bytes.byteLength]).toEqual([200, size]);
    expect(requested()).toEqual([`GET ${digest} 200`]);
  });

  test("whose content was evicted has it stored again, though the resolver still remembers it", async () => {
    await mirror.request(tag);
    const keys = await mirror.stored();
    await mirror.bindings.STORE.delete(keys);
    mirror.newIsolate();
    expect((await mirror.request(tag)).status).toBe(200);
    expect(await mirror.stored()).toEqual(keys);
  });

  test("whose content is neither stored nor available upstream is replaced by what the tag means now", async () => {
    await mirror.request(tag, { method: "HEAD" });
    const moved = await mirror.docker.addImage("library/demo", "latest", { platforms: ["linux/arm64"] });
    mirror.docker.removeManifest("library/demo", image.target.digest);
    const { status, headers } = await mirror.request(tag);
    expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, moved.target.digest]);
  });

  test("of a tag whose digest was deleted upstream is 404, which isn't remembered", async () => {
    mirror.docker.moveTag("library/demo", "dangling", `sha256:${"0".repeat(64)}`);
    expect((await mirror.request("/v2/library/demo/manifests/dangling")).status).toBe(404);
    expect(await mirror.bindings.TAGS.get("tags/docker.io/library/demo/dangling")).toBe(null);
  });

  test.each([["get"], ["put"], ["get", "put"]])(
    "that KV can't %s leaves the response right",
    async (...operations) => {
      for (const operation of operations) mirror.outage("TAGS", operation);
      for (const method of ["HEAD", "GET"]) {
        const { status, headers } = await mirror.request(tag, { method });
        expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
      }
      mirror.clock.ahead += TTL + 1000;
      mirror.newIsolate();
      expect((await mirror.request(tag)).status).toBe(200);
    },
  );

  test("that KV can't delete leaves a 404 a 404", async () => {
    await expireTag();
    mirror.outage("TAGS", "delete");
    mirror.docker.removeTag("library/demo", "latest");
    expect((await mirror.request(tag)).status).toBe(404);
  });
});

describe("a store that can't be read", () => {
  test.each(["GET", "HEAD"])("is treated as empty: %s", async (method) => {
    await mirror.request(tag);
    mirror.newIsolate();
    mirror.outage("STORE", "get");
    mirror.outage("STORE", "head");
    const digest = `/v2/library/demo/manifests/${image.target.digest}`;
    for (const path of [tag, digest]) {
      const response = await mirror.request(path, { method });
      expect([path, response.status]).toEqual([path, 200]);
    }
  });

  test("nor written leaves the response right", async () => {
    mirror.outage("STORE", "put");
    const { status, bytes } = await mirror.request(tag);
    expect([status, bytes.byteLength]).toEqual([200, image.target.size]);
    expect(await mirror.stored()).toEqual([]);
  });
});
