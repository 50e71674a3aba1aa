/** Hostile and broken redirects: none is followed to a forbidden target, and none receives credentials. */

import { createExecutionContext } from "cloudflare:test";
import { beforeEach, expect, vi } from "vitest";
import { createApp } from "../../src/app.ts";
import { behaviours } from "../support/fake-registry.ts";
import {
  blobKey,
  CLIENTS,
  COLD,
  cacheStatus,
  calls,
  expectRefused,
  expectWhole,
  LAYER,
  TAG,
  useFaults,
} from "./support.ts";

const { mirror, demo, fault } = useFaults("redirect");
const BLOB = { kind: "blob" } as const;
/** The docker.io fallback, requested digests when the primary fails; no other host may be requested. */
const FALLBACK = "mirror.gcr.io";

beforeEach(() => {
  mirror.docker.settings.auth = "none";
});

/** The client gets an error, no other host was requested, nothing is stored, and pulls succeed once upstream recovers. */
async function expectRefusedAndRecovered(requested: string[]): Promise<void> {
  expectRefused(await mirror.request(demo.blob), 503, "UNAVAILABLE");
  expect(calls(mirror.docker)).toEqual(requested);
  expect(new Set(mirror.network.strays)).toEqual(new Set([FALLBACK]));
  expect(await mirror.stored()).toEqual([]);
  mirror.recover();
  await expectWhole(await mirror.request(demo.blob));
}

fault("loop", "of a blob", async () => {
  mirror.docker.fail(BLOB, behaviours.redirectLoop());
  await expectRefusedAndRecovered(Array.from({ length: 6 }, () => "GET blob 307"));
});

fault("loop", "of a tag", async () => {
  mirror.docker.fail({ kind: "manifest" }, behaviours.redirectLoop(302));
  expectRefused(await mirror.request(TAG), 503, "UNAVAILABLE");
  expect(calls(mirror.docker)).toEqual(Array.from({ length: 6 }, () => "GET manifest 302"));
});

fault("too many hops", "five are followed", async () => {
  mirror.docker.fail(BLOB, behaviours.redirectChain(4));
  await expectWhole(await mirror.request(demo.blob));
  expect(calls(mirror.docker)).toHaveLength(6);
});

fault("too many hops", "a sixth is not", async () => {
  mirror.docker.fail(BLOB, behaviours.redirectChain(5));
  await expectRefusedAndRecovered(Array.from({ length: 6 }, () => "GET blob 307"));
});

fault("https to http", async () => {
  const storage = `http://production.cloudflare.docker.com/blobs/${demo.digest}?signature=secret`;
  mirror.docker.fail(BLOB, behaviours.redirectTo(storage));
  const response = await mirror.request(demo.blob, { headers: CLIENTS.crane.headers });
  expect(new TextDecoder().decode(response.bytes)).not.toContain("secret");
  calls(mirror.docker);
  await expectRefusedAndRecovered(["GET blob 307"]);
});

const INTERNAL = [
  "https://10.0.0.1/blob",
  "https://172.16.0.1/blob",
  "https://192.168.1.1/blob",
  "https://127.0.0.1:8787/blob",
  "https://localhost/blob",
  "https://169.254.169.254/latest/meta-data/",
  "https://[::1]/blob",
  "https://[fe80::1]/blob",
  "https://[fd00::1]/blob",
  "https://[::ffff:10.0.0.1]/blob",
  "https://167772161/blob",
  "https://0x7f000001/blob",
  "https://0177.0.0.1/blob",
  "https://127.1/blob",
  "https://0/blob",
  "https://intranet/blob",
  "https://metadata.google.internal/computeMetadata/v1/",
  "https://10.0.0.1./blob",
  "//169.254.169.254/latest/meta-data/",
];

fault("private, link-local, IPv6, decimal addresses", async () => {
  for (const location of INTERNAL) {
    const handle = mirror.docker.fail(BLOB, behaviours.redirectTo(location));
    const response = await mirror.request(demo.blob);
    expect([location, response.status]).toEqual([location, 503]);
    expect([location, ...calls(mirror.docker)]).toEqual([location, "GET blob 307"]);
    handle.remove();
    mirror.recover();
  }
  expect(new Set(mirror.network.strays)).toEqual(new Set([FALLBACK]));
  expect(await mirror.stored()).toEqual([]);
  await expectWhole(await mirror.request(demo.blob));
});

fault("private, link-local, IPv6, decimal addresses", "at a later hop", async () => {
  mirror.docker.fail({ kind: "storage" }, behaviours.redirectTo("https://10.0.0.1/blob"));
  await expectRefusedAndRecovered(["GET blob 307", "GET storage 307"]);
});

fault("to the mirror itself", async () => {
  // A network in which the mirror's own host is reachable.
  let requested = 0;
  const app = createApp(mirror.services);
  vi.stubGlobal("fetch", (input: Parameters<typeof fetch>[0], init?: RequestInit) => {
    const request = new Request(input, init);
    if (new URL(request.url).host !== "mirror.test") return mirror.network.fetch(request);
    if (++requested > 20) throw new TypeError("endless loop");
    return app.fetch(request, mirror.bindings, createExecutionContext());
  });
  mirror.docker.fail(BLOB, behaviours.redirectTo(`https://mirror.test${demo.blob}`));
  expectRefused(await mirror.request(demo.blob), 503, "UNAVAILABLE");
  // The first time it may be a request of another mirror; the second time it is a loop.
  expect(requested).toBeLessThanOrEqual(2);
  expect(await mirror.stored()).toEqual([]);
});

fault("relative", async () => {
  mirror.docker.settings.redirect = "relative";
  const response = await mirror.request(demo.blob);
  await expectWhole(response);
  expect(cacheStatus(response)).toBe(COLD);
  expect(mirror.docker.requests.map(({ host }) => host)).toEqual(Array(2).fill("registry-1.docker.io"));
  expect(calls(mirror.docker)).toEqual(["GET blob 302", "GET storage 200"]);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault("signed URL expired", "once: a new one is requested, unseen by the client", async () => {
  mirror.docker.settings.signatureLifetime = -1;
  mirror.docker.fail(
    { kind: "storage" },
    {
      transform: (response) => {
        mirror.docker.settings.signatureLifetime = 600;
        return response;
      },
    },
  );
  await expectWhole(await mirror.request(demo.blob));
  expect(calls(mirror.docker)).toEqual([
    "GET blob 307",
    "GET storage 403",
    "GET blob 307",
    "GET storage 200",
  ]);
  expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
});

fault("signed URL expired", "always: an upstream failure, not a denial of the blob", async () => {
  mirror.docker.settings.signatureLifetime = -1;
  const response = await mirror.request(demo.blob);
  expectRefused(response, 503, "UNAVAILABLE");
  expect(new TextDecoder().decode(response.bytes)).not.toContain("signature");
  expect(calls(mirror.docker)).toEqual([
    "GET blob 307",
    "GET storage 403",
    "GET blob 307",
    "GET storage 403",
  ]);
  expect(await mirror.stored()).toEqual([]);
  mirror.docker.settings.signatureLifetime = 600;
  await expectWhole(await mirror.request(demo.blob));
});

/** The signatures that storage has received so far. */
function signed(): string[] {
  return mirror.docker.requests.filter(({ kind }) => kind === "storage").map(({ query }) => query);
}

fault(
  "expired mid-stream",
  "the rest is fetched with a new URL, unseen by the client and the store",
  async () => {
    const cut = behaviours.cutAfter(131_072);
    const transform = (response: Response, request: Request) => {
      mirror.clock.ahead += 601_000;
      return cut.transform(response, request);
    };
    mirror.docker.fail({ kind: "storage" }, { transform }, 1);
    await expectWhole(await mirror.request(demo.blob));
    const [first, second] = signed();
    expect(first).not.toBe(second);
    expect(calls(mirror.docker)).toEqual([
      "GET blob 307",
      "GET storage 200",
      "GET blob 307",
      "GET storage 206",
    ]);
    expect(await mirror.stored()).toEqual([blobKey(demo.digest)]);
  },
);

fault("expired mid-stream", "a client whose connection broke gets the rest from a new URL", async () => {
  mirror.docker.settings.ranges = false;
  const handle = mirror.docker.fail({ kind: "storage" }, behaviours.cutAfter(131_072));
  const first = await mirror.request(demo.blob);
  expect([first.status, first.broken]).toEqual([200, true]);
  handle.remove();
  mirror.docker.settings.ranges = true;
  mirror.clock.ahead += 601_000;
  const before = new Set(signed());
  const rest = await mirror.request(demo.blob, { headers: { Range: "bytes=131072-" } });
  expect([rest.status, rest.broken, rest.headers.get("Content-Range")]).toEqual([
    206,
    false,
    "bytes 131072-299999/300000",
  ]);
  expect(rest.bytes).toEqual(LAYER.slice(131_072));
  expect(before).not.toContain(signed().at(-1));
  expect(cacheStatus(rest)).not.toContain("stored");
});

fault("Authorization leak", async () => {
  mirror.docker.settings.auth = "bearer";
  for (const redirect of ["absolute", "relative"] as const) {
    mirror.docker.settings.redirect = redirect;
    const headers = { Authorization: "Bearer of-the-client" };
    expect((await mirror.request(demo.blob, { headers, method: "HEAD" })).status).toBe(200);
    await expectWhole(await mirror.request(demo.blob, { headers }));
    await mirror.bindings.STORE.delete(blobKey(demo.digest));
    // The lease of the first fill goes on, and isn't waited for.
    mirror.services.fillPatience = 0;
  }
  await mirror.runAlarm(demo.digest);
  const elsewhere = mirror.docker.requests.filter(({ host }) => host !== "registry-1.docker.io");
  expect(elsewhere.length).toBeGreaterThan(2);
  for (const { headers } of elsewhere) expect(headers.authorization).toBe(undefined);
  expect(JSON.stringify(mirror.docker.requests)).not.toContain("of-the-client");
});

fault("Authorization leak", "to another registry that upstream redirects to", async () => {
  mirror.docker.settings.auth = "bearer";
  await mirror.request(TAG);
  mirror.docker.fail(BLOB, behaviours.redirectTo(`https://ghcr.io/v2/owner/demo/blobs/${demo.digest}`));
  // The other registry's refusal is no denial either: the original upstream may permit the client.
  expectRefused(await mirror.request(demo.blob), 503, "UNAVAILABLE");
  expect(mirror.ghcr.requests.length).toBeGreaterThan(0);
  for (const { headers } of mirror.ghcr.requests) expect(headers.authorization).toBe(undefined);
});

fault("query dropped", "by the mirror: a signature is kept exactly", async () => {
  await expectWhole(await mirror.request(demo.blob));
  const [{ query } = { query: "" }] = mirror.docker.requests.filter(({ kind }) => kind === "storage");
  expect(query).toMatch(/^signature=[0-9a-f]{64}&expires=\d+$/);
});

fault("query dropped", "by upstream: the mirror pages the listing itself", async () => {
  for (const tag of ["a", "b", "c", "d"])
    mirror.docker.moveTag("library/demo", tag, demo.image.target.digest);
  mirror.docker.fail({ kind: "tags" }, behaviours.redirectTo("/v2/library/demo/tags/list"), 1);
  const response = await mirror.request("/v2/library/demo/tags/list?n=2&last=a");
  expect(response.json()).toEqual({ name: "library/demo", tags: ["b", "c"] });
  expect(response.headers.get("Link")).toBe(
    '</v2/library/demo/tags/list?n=2&cursor=n%3D2%26last%3Da&last=c>; rel="next"',
  );
  expect(mirror.docker.requests.map(({ query }) => query)).toEqual(["n=2&last=a", ""]);
});

fault("signed redirect remembered too long", async () => {
  for (const ahead of [0, 0, 601_000]) {
    mirror.clock.ahead += ahead;
    const { status, headers } = await mirror.request(demo.blob, { method: "HEAD" });
    expect([status, headers.get("Content-Length")]).toEqual([200, "300000"]);
    // Every upstream request starts at the registry, however recent the last one.
    expect(calls(mirror.docker)).toEqual(["HEAD blob 307", "HEAD storage 200"]);
  }
});
