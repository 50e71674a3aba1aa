/** Recalled digests, attacked: no way to their bytes is left, and nothing else is denied. */
import { beforeEach, describe, expect, test } from "vitest";
import worker from "../../src/index.ts";
import { type Digest, digestOf } from "../../src/oci/digest.ts";
import type { Env } from "../../src/services.ts";
import { contentKey, hostedKey } from "../../src/store/store.ts";
import { localPusher } from "../push/support.ts";
import { behaviours, type Image, patternBytes } from "../support/fake-registry.ts";
import { REASON, useRecalls } from "./recalls-scene.ts";

const LAYER = patternBytes(100_000, 1);

const { mirror, get, demo, send, recall } = useRecalls();
let image: Image;
let manifest: Digest;
let layer: Digest;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest", { layers: [LAYER] });
  await mirror.docker.addImage("library/other", "latest", { layers: [LAYER] });
  await mirror.ghcr.addImage("owner/other", "latest", { layers: [LAYER] });
  manifest = image.target.digest as Digest;
  layer = await digestOf(LAYER);
});

/** Brings the image into the store, the manifest by its tag and by its digest. */
async function pullAll(): Promise<void> {
  const blobs = [...image.configs, ...image.layers].map(({ digest }) => `blobs/${digest}`);
  for (const path of ["manifests/latest", `manifests/${manifest}`, ...blobs]) {
    expect((await demo(path)).status).toBe(200);
  }
}

function forgetRequests(): void {
  mirror.docker.reset();
  mirror.ghcr.reset();
}

const upstreamRequests = () => [...mirror.docker.requests, ...mirror.ghcr.requests];

const DENIED = [403, "DENIED"];
function outcomeOf({ status, bytes }: { status: number; bytes: Uint8Array }): unknown[] {
  const text = new TextDecoder().decode(bytes);
  return [status, text.startsWith("{") ? JSON.parse(text).errors?.[0]?.code : undefined];
}

interface Way {
  way: string;
  path: string;
  headers?: Record<string, string>;
  host?: string;
}

/** Each a way to the layer's bytes, or to the word that the client's copy is good. */
const BLOB_WAYS: Way[] = [
  { way: "a GET", path: "/v2/docker.io/library/demo/blobs/LAYER" },
  { way: "a range", path: "/v2/docker.io/library/demo/blobs/LAYER", headers: { Range: "bytes=0-99" } },
  {
    way: "several ranges",
    path: "/v2/docker.io/library/demo/blobs/LAYER",
    headers: { Range: "bytes=0-9,20-29" },
  },
  {
    way: "the rest of a download",
    path: "/v2/docker.io/library/demo/blobs/LAYER",
    headers: { Range: "bytes=50000-", "If-Range": '"LAYER"' },
  },
  {
    way: "a condition that would hold",
    path: "/v2/docker.io/library/demo/blobs/LAYER",
    headers: { "If-None-Match": '"LAYER"' },
  },
  {
    way: "any content as a condition",
    path: "/v2/docker.io/library/demo/blobs/LAYER",
    headers: { "If-None-Match": "*" },
  },
  { way: "the default upstream", path: "/v2/library/demo/blobs/LAYER" },
  { way: "an escaped digest", path: "/v2/docker.io/library/demo/blobs/LAYER%3A" },
  { way: "another repository", path: "/v2/docker.io/library/other/blobs/LAYER" },
  { way: "another upstream", path: "/v2/ghcr.io/owner/other/blobs/LAYER" },
  { way: "another upstream by ns", path: "/v2/owner/other/blobs/LAYER?ns=ghcr.io" },
  { way: "the upstream before v2", path: "/ghcr.io/v2/owner/other/blobs/LAYER" },
  { way: "the upstream's own host", path: "/v2/library/demo/blobs/LAYER", host: "docker.example.com" },
  { way: "a repository that doesn't have it", path: "/v2/docker.io/library/none/blobs/LAYER" },
  { way: "its digest as a manifest", path: "/v2/docker.io/library/demo/manifests/LAYER" },
];

function fill({ path, headers = {}, host }: Way, digest: string): [string, RequestInit & { host?: string }] {
  const named = path.includes("%3A")
    ? path.replace("LAYER%3A", digest.replace(":", "%3A"))
    : path.replace("LAYER", digest);
  const filled = Object.entries(headers).map(([name, value]) => [name, value.replace("LAYER", digest)]);
  return [named, { headers: Object.fromEntries(filled), ...(host ? { host } : {}) }];
}

describe.each(["warm", "cold"])("a recalled layer, %s", (state) => {
  test.each(BLOB_WAYS)(
    "is refused to $way, by GET and by HEAD, and no upstream is requested",
    async (way) => {
      if (state === "warm") await pullAll();
      await recall(layer);
      forgetRequests();
      const [path, init] = fill(way, layer);
      expect(outcomeOf(await get(path, init))).toEqual(DENIED);
      expect((await get(path, { ...init, method: "HEAD" })).status).toBe(403);
      mirror.newIsolate();
      expect(outcomeOf(await get(path, init))).toEqual(DENIED);
      expect(upstreamRequests()).toEqual([]);
    },
  );
});

describe("a recalled layer", () => {
  test("is refused with the reason, which no cache may keep", async () => {
    await recall(layer);
    const { headers, json } = await demo(`blobs/${layer}`);
    expect(json()).toEqual({
      errors: [
        {
          code: "DENIED",
          message: `${layer} was recalled by the operator of this mirror: ${REASON}`,
          detail: null,
        },
      ],
    });
    expect(headers.get("Cache-Control")).toBe("no-store");
  });

  test("is refused without a reason where none was given", async () => {
    expect((await send("POST", "recalled", JSON.stringify({ digest: layer }))).status).toBe(204);
    expect((await demo(`blobs/${layer}`)).json()).toMatchObject({
      errors: [{ message: `${layer} was recalled by the operator of this mirror` }],
    });
  });

  test("leaves the image's manifest and its other blobs to be pulled", async () => {
    await pullAll();
    await recall(layer);
    for (const path of ["manifests/latest", `manifests/${manifest}`, `blobs/${image.configs[0]?.digest}`]) {
      expect([path, (await demo(path)).status]).toEqual([path, 200]);
    }
  });

  test("is deleted from the store, what is private of it too, and nothing else is", async () => {
    await pullAll();
    const hidden = contentKey("blobs", layer, "private");
    await mirror.bindings.STORE.put(hidden, LAYER);
    const before = await mirror.stored();
    await recall(layer);
    const gone = [contentKey("blobs", layer, "public"), hidden];
    expect(before).toEqual(expect.arrayContaining(gone));
    expect(await mirror.stored()).toEqual(before.filter((key) => !gone.includes(key)));
  });

  test("is denied although the store can't delete it", async () => {
    await pullAll();
    mirror.outage("STORE", "delete");
    await recall(layer);
    expect(outcomeOf(await demo(`blobs/${layer}`))).toEqual(DENIED);
  });

  test("isn't given to those who wait for a fill that was running, and what that stored is swept", async () => {
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    let arrived = false;
    mirror.docker.fail(
      { kind: "storage" },
      {
        transform: async (response) => {
          arrived = true;
          await opened;
          return response;
        },
      },
    );
    const pulls = Promise.all([demo(`blobs/${layer}`), demo(`blobs/${layer}`)]);
    await expect.poll(() => arrived).toBe(true);
    await recall(layer);
    open();
    expect((await pulls).map(outcomeOf)).toEqual([DENIED, DENIED]);
    // A fill that goes on behind the refusal may publish the blob.
    await mirror.bindings.STORE.put(contentKey("blobs", layer, "public"), LAYER);
    expect(outcomeOf(await demo(`blobs/${layer}`))).toEqual(DENIED);
    await worker.scheduled({} as ScheduledController, mirror.bindings as unknown as Env);
    expect(await mirror.stored()).not.toContain(contentKey("blobs", layer, "public"));
  });

  test("is fetched again once the recall is undone", async () => {
    await pullAll();
    await recall(layer);
    expect((await send("DELETE", `recalled/${layer}`)).status).toBe(204);
    // The lease of the first fill goes on, and isn't waited for.
    mirror.services.fillPatience = 0;
    expect((await demo(`blobs/${layer}`)).bytes).toEqual(LAYER);
    await mirror.runAlarm(layer);
  });
});

describe("a recalled manifest", () => {
  test.each([
    ["by tag", "manifests/latest", {}],
    ["by digest", "manifests/DIGEST", {}],
    ["by tag, with a condition", "manifests/latest", { "If-None-Match": '"DIGEST"' }],
    ["by digest, with a condition", "manifests/DIGEST", { "If-None-Match": '"DIGEST"' }],
  ])("isn't served %s, from memory, the store or upstream", async (_, path, headers) => {
    const filled = Object.entries(headers).map(([name, value]) => [name, value.replace("DIGEST", manifest)]);
    const init = { headers: Object.fromEntries(filled) };
    const named = path.replace("DIGEST", manifest);
    await pullAll();
    await recall(manifest);
    for (let round = 0; round < 2; round++) {
      expect(outcomeOf(await demo(named, init))).toEqual(DENIED);
      expect((await demo(named, { ...init, method: "HEAD" })).status).toBe(403);
      mirror.newIsolate();
    }
  });

  test("isn't served by a tag that this mirror has never seen", async () => {
    await recall(manifest);
    expect(outcomeOf(await demo("manifests/latest"))).toEqual(DENIED);
    await mirror.docker.addImage("library/demo", "alias", { layers: [LAYER] });
    expect(outcomeOf(await demo("manifests/alias"))).toEqual(DENIED);
  });

  test.each([
    { name: "503", behaviour: { status: 503 } },
    { name: "429", behaviour: behaviours.tooManyRequests(60) },
    { name: "no connection", behaviour: { network: true } as const },
  ])("isn't served stale: $name", async ({ behaviour }) => {
    await pullAll();
    await recall(manifest);
    // As a copy that was stored by another isolate after the recall.
    await mirror.services.store.put(contentKey("manifests", manifest, "public"), image.target.bytes, {});
    mirror.clock.ahead += 3_600_000;
    mirror.newIsolate();
    mirror.docker.fail({ kind: "manifest" }, behaviour);
    mirror.docker.fail({ kind: "token" }, behaviour);
    expect(outcomeOf(await demo("manifests/latest"))).toEqual(DENIED);
    expect((await demo("manifests/latest", { method: "HEAD" })).status).toBe(403);
  });

  test("isn't replaced by what the tag named before, and what it names next is served", async () => {
    await pullAll();
    mirror.clock.ahead += 301_000;
    const second = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(10, 2)] });
    expect((await demo("manifests/latest")).headers.get("Docker-Content-Digest")).toBe(second.target.digest);
    await recall(second.target.digest);
    expect(outcomeOf(await demo("manifests/latest"))).toEqual(DENIED);
    const third = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(10, 3)] });
    mirror.clock.ahead += 301_000;
    expect((await demo("manifests/latest")).headers.get("Docker-Content-Digest")).toBe(third.target.digest);
  });

  test("that an index names is denied by itself; the index and its other platform aren't", async () => {
    const platforms = ["linux/amd64", "linux/arm64"];
    const { target, manifests } = await mirror.docker.addImage("library/demo", "many", { platforms });
    await demo("manifests/many");
    const [bad, other] = manifests;
    await demo(`manifests/${bad?.digest}`);
    await recall(bad?.digest ?? "");
    const statuses = [target.digest, bad?.digest, other?.digest].map(
      async (digest) => (await demo(`manifests/${digest}`)).status,
    );
    expect(await Promise.all(statuses)).toEqual([200, 403, 200]);
  });
});

describe("hosted content", () => {
  const TEAM = "hosted/team/app";
  const client = localPusher(mirror);

  test("is denied by every name, stays stored, and is served again once the recall is undone", async () => {
    const pushed = await client.pushImage(TEAM, "1.0");
    const paths = ["manifests/1.0", `manifests/${pushed.digest}`, `blobs/${pushed.layer.digest}`];
    await recall(pushed.digest);
    await recall(pushed.layer.digest);
    for (const method of ["GET", "HEAD"]) {
      for (const path of paths) {
        const conditions: Record<string, string>[] = [{}, { "If-None-Match": "*" }, { Range: "bytes=0-0" }];
        for (const headers of conditions) {
          const { status } = await client.send(method, `/v2/${TEAM}/${path}`, { headers });
          expect([method, path, headers, status]).toEqual([method, path, headers, 403]);
        }
      }
    }
    expect(await mirror.stored()).toContain(hostedKey("blobs", pushed.layer.digest as Digest));
    for (const digest of [pushed.digest, pushed.layer.digest]) await send("DELETE", `recalled/${digest}`);
    for (const path of paths) expect((await client.send("GET", `/v2/${TEAM}/${path}`)).status).toBe(200);
  });

  test("that is recalled can't be pushed or mounted, and can be deleted", async () => {
    const { digest, layer: pushed, bytes } = await client.pushImage(TEAM, "1.0");
    await recall(digest);
    await recall(pushed.digest);
    const uploads = "/v2/hosted/team/next/blobs/uploads/";
    const upload = await client.startUpload("hosted/team/next");
    const refused = [
      client.putManifest(TEAM, "2.0", bytes),
      client.putManifest(TEAM, digest, bytes),
      client.send("POST", `${uploads}?digest=${pushed.digest}`, { body: pushed.bytes }),
      client.send("PUT", `${upload}?digest=${pushed.digest}`, { body: pushed.bytes }),
      client.send("POST", `${uploads}?mount=${pushed.digest}&from=${TEAM}`),
      client.send("POST", `${uploads}?mount=${pushed.digest}`),
    ];
    expect((await Promise.all(refused)).map(outcomeOf)).toEqual(refused.map(() => DENIED));
    expect((await client.send("GET", `/v2/${TEAM}/manifests/2.0`)).status).toBe(404);
    expect((await client.send("DELETE", `/v2/${TEAM}/manifests/${digest}`)).status).toBe(202);
    expect((await client.send("DELETE", `/v2/${TEAM}/blobs/${pushed.digest}`)).status).toBe(202);
  });

  test("that was mounted from a mirrored repository is denied with it", async () => {
    await pullAll();
    const mounted = await client.send(
      "POST",
      `/v2/${TEAM}/blobs/uploads/?mount=${layer}&from=docker.io/library/demo`,
    );
    expect(mounted.status).toBe(201);
    await recall(layer);
    expect((await client.send("GET", `/v2/${TEAM}/blobs/${layer}`)).status).toBe(403);
  });
});
