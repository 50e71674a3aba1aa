/** Resuming blobs that break off upstream: the rest comes from there or a fallback, unseen by the client and the store. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { type Behaviour, behaviours, type FakeRegistry, patternBytes } from "../support/fake-registry.ts";
import { type MirrorResponse, useMirror } from "../support/mirror.ts";

const LAYER = patternBytes(300_000, 1);
const BYTES = { kind: "storage", method: "GET" } as const;
/** docker.io, with the host of another registry as its fallback. */
const mirror = useMirror({
  UPSTREAMS: { "docker.io": { endpoints: ["https://registry-1.docker.io", "https://ghcr.io"] } },
});
/** ghcr.io: an upstream without a fallback. */
const SOLE = "/v2/ghcr.io/library/demo/blobs";
const PAIRED = "/v2/library/demo/blobs";
let digest: string;
let key: string;

beforeEach(async () => {
  for (const registry of [mirror.docker, mirror.ghcr]) {
    registry.settings.auth = "none";
    const image = await registry.addImage("library/demo", "latest", { layers: [LAYER] });
    digest = image.layers[0]?.digest ?? "";
  }
  const hex = digest.slice("sha256:".length);
  key = `blobs/sha256/${hex.slice(0, 2)}/${hex}`;
});

/** The ranges that storage was requested, "" for the whole. */
function rangesOf({ requests }: FakeRegistry): string[] {
  return requests.filter(({ kind }) => kind === "storage").map(({ headers }) => headers.range ?? "");
}

function expectWhole({ status, broken, bytes }: MirrorResponse): void {
  expect([status, broken, bytes.byteLength]).toEqual([200, false, LAYER.byteLength]);
  expect(bytes).toEqual(LAYER);
}

/** Breaks off the first response only. */
function breakOnce(registry: FakeRegistry, behaviour: Behaviour = behaviours.cutAfter(100_000)): void {
  registry.fail(BYTES, behaviour, 1);
}

describe("a cold blob that breaks off", () => {
  test.each([1, 100_000, 299_999])("after %i bytes reaches the client whole and is stored", async (cut) => {
    breakOnce(mirror.ghcr, behaviours.cutAfter(cut));
    const response = await mirror.request(`${SOLE}/${digest}`);
    expectWhole(response);
    expect(rangesOf(mirror.ghcr)).toEqual(["", `bytes=${cut}-`]);
    expect(mirror.operations()).toMatchObject({ storePuts: 1, leases: 1 });
    expect(await mirror.stored()).toEqual([key]);
  });

  test("repeatedly is resumed each time from where it broke off, and each resume is counted in the log", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    mirror.ghcr.fail(BYTES, behaviours.cutAfter(100_000));
    expectWhole(await mirror.request(`${SOLE}/${digest}`));
    expect(rangesOf(mirror.ghcr)).toEqual(["", "bytes=100000-", "bytes=200000-"]);
    expect(await mirror.stored()).toEqual([key]);
    expect(warn.mock.calls.map(([line]) => line)).toEqual([
      expect.stringContaining(`blobs/${digest} broke off after 100000 bytes (resume 1): `),
      expect.stringContaining(`blobs/${digest} broke off after 200000 bytes (resume 2): `),
    ]);
  });

  test("is resumed from the fallback", async () => {
    mirror.docker.fail(BYTES, behaviours.cutAfter(100_000));
    expectWhole(await mirror.request(`${PAIRED}/${digest}`));
    expect([rangesOf(mirror.docker), rangesOf(mirror.ghcr)]).toEqual([[""], ["bytes=100000-"]]);
    expect(await mirror.stored()).toEqual([key]);
  });

  test("is resumed from the same endpoint if the fallback lacks it", async () => {
    breakOnce(mirror.docker);
    mirror.ghcr.removeBlob(digest);
    expectWhole(await mirror.request(`${PAIRED}/${digest}`));
    expect(rangesOf(mirror.docker)).toEqual(["", "bytes=100000-"]);
  });

  test("is resumed from the same endpoint if the fallback ignores the range", async () => {
    breakOnce(mirror.docker);
    mirror.ghcr.settings.ranges = false;
    expectWhole(await mirror.request(`${PAIRED}/${digest}`));
    expect(rangesOf(mirror.docker)).toEqual(["", "bytes=100000-"]);
  });

  test("is resumed after a short outage of upstream", async () => {
    mirror.ghcr.fail(BYTES, behaviours.cutAfter(100_000), 1);
    mirror.ghcr.fail(
      { kind: "blob", path: /blobs/ },
      { transform: once(new Response(null, { status: 503 }), 3) },
    );
    expectWhole(await mirror.request(`${SOLE}/${digest}`));
  });

  test("is resumed for a client that gets it passed through", async () => {
    await mirror.takeLease(digest, "library/demo", "ghcr.io");
    mirror.services.fillPatience = 0;
    breakOnce(mirror.ghcr);
    expectWhole(await mirror.request(`${SOLE}/${digest}`));
    expect(await mirror.stored()).toEqual([]);
  });

  test("is resumed for a fill by alarm", async () => {
    await mirror.takeLease(digest, "library/demo", "ghcr.io");
    breakOnce(mirror.ghcr);
    await mirror.runAlarm(digest);
    expect(await mirror.stored()).toEqual([key]);
    expect(rangesOf(mirror.ghcr)).toEqual(["", "bytes=100000-"]);
  });

  test("is resumed only as the same entity: If-Range carries its ETag", async () => {
    mirror.ghcr.settings.etag = () => '"strong"';
    breakOnce(mirror.ghcr);
    expectWhole(await mirror.request(`${SOLE}/${digest}`));
    const tags = mirror.ghcr.requests.map(({ headers }) => headers["if-range"]);
    expect(new Set(tags)).toEqual(new Set([undefined, '"strong"']));
    expect(tags.at(-1)).toBe('"strong"');
  });
});

describe("breaks off for the client, and nothing is stored, when the rest", () => {
  const refused: Record<string, () => void> = {
    "begins at another byte": () => onRange({ "content-range": "bytes 99999-299999/300000" }),
    "ends at another byte": () => onRange({ "content-range": "bytes 100000-299998/300000" }),
    "is of another length": () => onRange({ "content-range": "bytes 100000-299999/300001" }),
    "is as long as it doesn't say": () => onRange({ "content-length": "199999" }),
    "has no Content-Range": () => onRange({ "content-range": null }),
    "was encoded on the way": () => onRange({ "content-encoding": "gzip" }),
    "is gone": () => mirror.ghcr.fail({ kind: "blob", path: /blobs/ }, onlyRanges(404)),
    "is denied": () => mirror.ghcr.fail({ kind: "blob", path: /blobs/ }, onlyRanges(403)),
    "is limited": () => mirror.ghcr.fail({ kind: "blob", path: /blobs/ }, onlyRanges(429)),
  };
  test.each(Object.entries(refused))("%s", async (_, arrange) => {
    arrange();
    mirror.ghcr.fail(BYTES, { transform: cutWhole });
    const response = await mirror.request(`${SOLE}/${digest}`);
    expect([response.status, response.broken]).toEqual([200, true]);
    expect(await mirror.stored()).toEqual([]);
    const requested = rangesOf(mirror.ghcr);
    expect(requested.length).toBeLessThanOrEqual(2);
    mirror.ghcr.clearFaults();
    mirror.recover();
    await mirror.runAlarm(digest);
    await expect.poll(() => mirror.stored()).toEqual([key]);
  });

  test("has the wrong bytes: the client's digest check fails, and their source is quarantined", async () => {
    breakOnce(mirror.docker);
    mirror.ghcr.fail(BYTES, behaviours.corrupted());
    const response = await mirror.request(`${PAIRED}/${digest}`);
    expect([response.status, response.broken]).toEqual([200, false]);
    expect(response.bytes).not.toEqual(LAYER);
    expect(await mirror.stored()).toEqual([]);
    const before = mirror.ghcr.requests.length;
    breakOnce(mirror.docker);
    expectWhole(await mirror.request(`${PAIRED}/${digest}`));
    expect(mirror.ghcr.requests.length).toBe(before);
  });
});

/** Cuts whole bodies, but not parts. */
function cutWhole(response: Response, request: Request): Response | Promise<Response> {
  const cut = behaviours.cutAfter(100_000).transform;
  return response.status === 200 ? cut(response, request) : response;
}

function onRange(changes: Record<string, string | null>): void {
  const change = behaviours.changedHeaders(changes).transform;
  const transform = (response: Response, request: Request) =>
    response.status === 206 ? change(response, request) : response;
  mirror.ghcr.fail(BYTES, { transform });
}

/** Answers range requests with a status. */
function onlyRanges(status: number): Behaviour {
  return {
    transform: (response, request) =>
      request.headers.has("range") ? new Response(null, { status }) : response,
  };
}

/** Replaces responses from the second one on, so many times. */
function once(replacement: Response, times: number): (response: Response) => Response {
  let seen = 0;
  return (response) => {
    seen += 1;
    return seen > 1 && seen <= times + 1 ? replacement.clone() : response;
  };
}
