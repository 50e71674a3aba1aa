/** Slow tags, and tags as of a day: which of the digests that a tag had is served. */
import { describe, expect, test, vi } from "vitest";
import { Ledger } from "../../src/objects/ledger.ts";
import { patternBytes } from "../support/fake-registry.ts";
import { useMirror } from "../support/mirror.ts";

const ADMIN_KEY = "an-admin-key-of-more-than-32-characters";
const OWNER = { Authorization: `Bearer ${ADMIN_KEY}` };
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const TAG = "/v2/library/demo/manifests/latest";

const mirror = useMirror({
  ADMIN_KEY,
  COOLDOWN: { "*": "7d", "docker.io/owner/*": "2d", "docker.io/owner/exempt": "none" },
});

/** Pushes a new image to a tag upstream. @returns its digest. */
async function publish(seed: number, repository = "library/demo"): Promise<string> {
  const { target } = await mirror.docker.addImage(repository, "latest", {
    layers: [patternBytes(100, seed)],
  });
  return target.digest;
}

/** @returns the digest that a pull gets, or the status of an error. */
async function pull(path = TAG, init: RequestInit = {}): Promise<string | number> {
  const { status, headers } = await mirror.request(path, init);
  return status === 200 ? (headers.get("Docker-Content-Digest") ?? "none") : status;
}

async function message(path: string): Promise<string> {
  const { errors } = (await mirror.request(path)).json() as { errors: { message: string }[] };
  return errors[0]?.message ?? "";
}

/** The day (UTC), some days from now. */
const day = (days: number) => new Date(Date.now() + days * DAY).toISOString().slice(0, 10);

async function owner(
  method: string,
  path: string,
  body: object | null = null,
): Promise<{ status: number; json: () => object }> {
  const text = body && JSON.stringify(body);
  const headers = { ...OWNER, ...(text ? { "Content-Length": String(text.length) } : {}) };
  return mirror.request(`/_/${path}`, { method, headers, body: text });
}

describe("a slow tag", () => {
  test("is served with the digest that it had before, until the new one is old enough", async () => {
    const first = await publish(1);
    expect(await pull()).toBe(first);
    mirror.clock.ahead += 8 * DAY;
    const poisoned = await publish(2);
    expect(await pull()).toBe(first);
    mirror.clock.ahead += 6 * DAY;
    expect(await pull()).toBe(first);
    mirror.clock.ahead += DAY + HOUR;
    expect(await pull()).toBe(poisoned);
  });

  test.each(["HEAD", "GET"])(
    "by %s, from a warm isolate, another isolate and the edge alike",
    async (method) => {
      const first = await publish(1);
      await pull();
      await publish(2);
      mirror.clock.ahead += HOUR;
      expect(await pull(TAG, { method })).toBe(first);
      expect(await pull(TAG, { method })).toBe(first);
      mirror.newIsolate();
      expect(await pull(TAG, { method })).toBe(first);
    },
  );

  test("that moves every day is served with what it named seven days ago", async () => {
    const digests: string[] = [];
    for (let days = 0; days < 12; days++) {
      digests.push(await publish(days));
      await pull();
      mirror.clock.ahead += DAY;
    }
    expect(await pull()).toBe(digests[5]);
  });

  test("that is set back to a digest of before follows at once", async () => {
    const first = await publish(1);
    await pull();
    mirror.clock.ahead += 8 * DAY;
    await publish(2);
    await pull();
    mirror.clock.ahead += 8 * DAY;
    await publish(1);
    expect(await pull()).toBe(first);
  });

  test("that is seen for the first time is served with the oldest digest that is known", async () => {
    const first = await publish(1);
    expect(await pull()).toBe(first);
    mirror.clock.ahead += HOUR;
    await publish(2);
    expect(await pull()).toBe(first);
  });

  test("has the age of the most specific pattern, and an exempt one none", async () => {
    const old = { slow: await publish(1, "owner/slow"), exempt: await publish(1, "owner/exempt") };
    const paths = ["/v2/owner/slow/manifests/latest", "/v2/owner/exempt/manifests/latest"];
    for (const path of paths) await pull(path);
    mirror.clock.ahead += HOUR;
    const next = { slow: await publish(2, "owner/slow"), exempt: await publish(2, "owner/exempt") };
    expect(await Promise.all(paths.map((path) => pull(path)))).toEqual([old.slow, next.exempt]);
    mirror.clock.ahead += 2 * DAY;
    expect(await Promise.all(paths.map((path) => pull(path)))).toEqual([next.slow, next.exempt]);
  });

  test("doesn't hold back what is pulled by digest", async () => {
    await publish(1);
    await pull();
    mirror.clock.ahead += HOUR;
    const next = await publish(2);
    await pull();
    expect(await pull(`/v2/library/demo/manifests/${next}`)).toBe(next);
  });

  test("is served stale with the older digest too", async () => {
    const first = await publish(1);
    await pull();
    mirror.clock.ahead += HOUR;
    await publish(2);
    await pull();
    mirror.docker.fail({ kind: "manifest" }, { status: 503 });
    mirror.clock.ahead += HOUR;
    expect(await pull()).toBe(first);
    expect((await mirror.request(TAG)).headers.get("Warning")).toContain("503");
  });

  test("whose older digest is stored nowhere and gone upstream is refused, by GET and by HEAD", async () => {
    const first = await publish(1);
    await pull();
    await publish(2);
    mirror.clock.ahead += HOUR;
    for (const key of await mirror.stored()) await mirror.bindings.STORE.delete(key);
    mirror.services.manifests.clear();
    mirror.docker.removeManifest("library/demo", first);
    expect(await pull(TAG, { method: "HEAD" })).toBe(404);
    expect(await message(TAG)).toContain("is neither stored nor upstream any more");
  });

  test("is refused once upstream denies it or has deleted it", async () => {
    await publish(1);
    await pull();
    mirror.clock.ahead += HOUR;
    const history = vi.spyOn(Ledger.prototype, "decide");
    mirror.docker.removeTag("library/demo", "latest");
    expect(await pull()).toBe(404);
    await publish(1);
    mirror.docker.setVisibility("library/demo", "private");
    mirror.clock.ahead += HOUR;
    expect([401, 403]).toContain(await pull());
    expect(history).not.toHaveBeenCalled();
  });

  test("whose digest is recalled is refused", async () => {
    const first = await publish(1);
    await pull();
    await publish(2);
    mirror.clock.ahead += HOUR;
    expect((await owner("POST", "recalled", { digest: first })).status).toBe(204);
    expect(await pull()).toBe(403);
  });

  test("is pulled while the ledger fails", async () => {
    await publish(1);
    await pull();
    mirror.clock.ahead += HOUR;
    const next = await publish(2);
    vi.spyOn(Ledger.prototype, "decide").mockRejectedValue(new Error("over quota"));
    expect(await pull()).toBe(next);
  });

  test("costs one call of the ledger when it is resolved, and none while it is warm", async () => {
    await publish(1);
    const calls = vi.spyOn(Ledger.prototype, "decide");
    for (let time = 0; time < 20; time++) await pull();
    expect(calls).toHaveBeenCalledTimes(1);
    mirror.newIsolate();
    await pull();
    expect(calls).toHaveBeenCalledTimes(1);
    mirror.clock.ahead += HOUR;
    await pull();
    expect(calls).toHaveBeenCalledTimes(2);
  });
});

describe("a release", () => {
  test("lets through what upstream has now, at once, and can be undone", async () => {
    const first = await publish(1);
    await pull();
    mirror.clock.ahead += HOUR;
    await publish(2);
    await pull();
    const urgent = await publish(3);
    const released = await owner("POST", "released", { image: "demo:latest" });
    expect(released.json()).toEqual({
      entries: [
        {
          upstream: "docker.io",
          repository: "library/demo",
          tag: "latest",
          visibility: "public",
          digest: urgent,
        },
      ],
    });
    expect(await pull()).toBe(urgent);
    expect((await owner("GET", "released")).json()).toMatchObject({ entries: [{ digest: urgent }] });
    const [entry] = (
      (await owner("GET", "tags/demo:latest")).json() as { entries: { served: string; history: object[] }[] }
    ).entries;
    expect([entry?.served, entry?.history[0]]).toEqual([
      urgent,
      expect.objectContaining({ digest: urgent, isReleased: true }),
    ]);

    expect((await owner("DELETE", "released/demo:latest")).status).toBe(204);
    expect(await pull()).toBe(first);
    expect((await owner("DELETE", "released/demo:latest")).status).toBe(404);
  });

  test("holds for that digest alone: what comes next is slow again", async () => {
    await publish(1);
    await pull();
    const urgent = await publish(2);
    await owner("POST", "released", { image: "demo:latest" });
    mirror.clock.ahead += HOUR;
    await publish(3);
    expect(await pull()).toBe(urgent);
  });

  test.each([
    [400, {}],
    [400, { image: "demo" }],
    [409, { image: "owner/exempt:latest" }],
    [404, { image: "demo:none" }],
  ])("is refused with %i for %o", async (status, body) => {
    expect((await owner("POST", "released", body)).status).toBe(status);
  });

  test("takes the admin key", async () => {
    for (const [method, path] of [
      ["GET", "released"],
      ["POST", "released"],
      ["DELETE", "released/demo:latest"],
    ] as const) {
      expect((await mirror.request(`/_/${path}`, { method })).status).toBe(401);
    }
  });
});

describe("a day", () => {
  const paths = [
    (of: string) => `${TAG}?at=${of}`,
    (of: string) => `/v2/docker.io/library/demo/manifests/latest?at=${of}`,
    (of: string) => `/v2/at-${of.replaceAll("-", "")}/docker.io/library/demo/manifests/latest`,
    (of: string) => `/v2/at-${of.replaceAll("-", "")}/docker.io/demo/manifests/latest?ns=docker.io`,
  ];

  test.each(paths)("names what the tag was served with at its end: %o", async (path) => {
    const first = await publish(1);
    expect(await pull()).toBe(first);
    const firstDay = day(0);
    mirror.clock.ahead += 2 * DAY;
    const second = await publish(2);
    await pull();
    mirror.clock.ahead += 20 * DAY;
    await publish(3);
    await pull();
    expect(await pull(path(firstDay))).toBe(first);
    expect(await pull(path(day(-1)))).toBe(second);
    // As it was served then: the second was too young.
    expect(await pull(path(day(-19)))).toBe(first);
    expect(await pull(path(firstDay), { method: "HEAD" })).toBe(first);
  });

  test("that is unknown, hasn't come yet or is none is refused in words", async () => {
    await publish(1);
    await pull();
    for (const [at, words] of [
      [day(-1), "hasn't seen docker.io/library/demo:latest until the end of"],
      [day(1), "hasn't come yet"],
      ["yesterday", "is no day"],
      ["2026-02-30", "is no day"],
    ] as const) {
      const response = await mirror.request(`${TAG}?at=${at}`);
      expect(response.json()).toMatchObject({
        errors: [{ code: "MANIFEST_UNKNOWN", message: expect.stringContaining(words) }],
      });
      expect(response.status).toBe(404);
    }
    expect((await mirror.request("/v2/at-20260230/docker.io/library/demo/manifests/latest")).status).toBe(
      404,
    );
  });

  test("of which all is pulled below its prefix, and by digest what is named", async () => {
    const image = await mirror.docker.addImage("library/demo", "latest", { layers: [patternBytes(100, 1)] });
    await pull();
    const prefix = `/v2/at-${day(0).replaceAll("-", "")}/docker.io/library/demo`;
    const next = await publish(2);
    expect(await pull(`${prefix}/manifests/${next}`)).toBe(next);
    expect(await pull(`${prefix}/blobs/${image.layers[0]?.digest}`)).toBe(image.layers[0]?.digest);
    const list = (await mirror.request(`${prefix}/tags/list`)).json();
    expect(list.tags).toEqual(["latest"]);
  });

  test("is no part of a name where no upstream follows", async () => {
    await publish(7, "at-20261101/image");
    expect(await pull("/v2/at-20261101/image/manifests/latest")).toMatch(/^sha256/);
  });

  test("is remembered apart from the tag of today", async () => {
    const first = await publish(1);
    await pull();
    const before = day(0);
    mirror.clock.ahead += 30 * DAY;
    const next = await publish(2);
    await pull();
    mirror.clock.ahead += 8 * DAY;
    expect(await pull(`${TAG}?at=${before}`)).toBe(first);
    expect(await pull()).toBe(next);
    const calls = vi.spyOn(Ledger.prototype, "decide");
    expect(await pull(`${TAG}?at=${before}`)).toBe(first);
    expect(calls).not.toHaveBeenCalled();
  });

  test("opens nothing that upstream has closed or deleted", async () => {
    await publish(1);
    await pull();
    mirror.clock.ahead += DAY;
    mirror.docker.removeTag("library/demo", "latest");
    expect(await pull(`${TAG}?at=${day(-1)}`)).toBe(404);
    await publish(1);
    mirror.docker.setVisibility("library/demo", "private");
    mirror.clock.ahead += HOUR;
    expect([401, 403]).toContain(await pull(`${TAG}?at=${day(-1)}`));
  });

  test("of a hosted tag isn't known", async () => {
    expect((await mirror.request("/v2/hosted/team/image/manifests/latest?at=2026-11-01")).status).toBe(404);
  });
});
