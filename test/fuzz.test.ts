// Whole requests and whole pulls at random: whatever is requested, and whatever upstream does, nothing wrong is served or stored.

import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { digestOf } from "./support/fake-registry/bytes.ts";
import { type Behaviour, behaviours, type Image, patternBytes } from "./support/fake-registry.ts";
import { type MirrorResponse, TIMING, useMirror } from "./support/mirror.ts";
import {
  buildable,
  expectFair,
  expectOciError,
  FOR_LISTINGS,
  FOR_TOKENS,
  HEX,
  header,
  method,
  path,
  query,
  SENT_UPSTREAM,
  UNREACHED,
  UPSTREAMS,
  word,
} from "./support/requests.ts";

/** Credentials that are no login. */
const SECRET = "Y2xpZW50OnNlY3JldA==";

// Leases of fills that failed aren't sat out.
const hub = useMirror({ DOMAIN: "example.com", UPSTREAMS, TIMING: { ...TIMING, fillPatience: 100 } });
let errors: string[] = [];

beforeEach(() => {
  errors = [];
  vi.spyOn(console, "error").mockImplementation((...words: unknown[]) => void errors.push(words.join(" ")));
  // A second try is made after a tenth of a second, which is most of what these tests would take.
  const real = globalThis.setTimeout;
  const soon = (run: () => void, milliseconds = 0) => real(run, milliseconds <= 250 ? 0 : milliseconds);
  vi.stubGlobal("setTimeout", soon);
});
afterEach(() => {
  vi.restoreAllMocks();
});

const request = fc.record({
  method,
  host: fc.oneof(
    word("mirror.test mirror.example.com docker.example.com ghcr.example.com example.com [::1]"),
    word("evil.example.com a.b.example.com 127.0.0.1:8787 registry-1.docker.io evil.test"),
  ),
  path,
  query,
  headers: fc.array(header, { maxLength: 4 }),
  login: fc.constantFrom(null, `Basic ${SECRET}`, `Bearer ${SECRET}`, "Basic Og==", SECRET),
});

test("whatever is requested, the response is the registry's or an error as the specification words it, and nothing leaks", async () => {
  const image = await hub.docker.addImage("library/alpine", "latest", { layers: [patternBytes(3000)] });
  await hub.docker.addImage("some/application", "1.0");
  await hub.ghcr.addImage("owner/image", "latest", { platforms: ["linux/amd64", "linux/arm64"] });
  const real = (text: string) =>
    text.replaceAll("HELD", image.target.digest).replaceAll("LAYER", image.layers[0]?.digest ?? "");

  const seen = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(request, async ({ method, host, path, query, headers, login }) => {
      const target = real(path + query);
      const given = headers.map(([key, value]): [string, string] => [key, real(value)]);
      if (login !== null) given.push(["Authorization", login]);
      const init = buildable(`https://${host}${target}`, method, given);
      if (!init) return;
      const before = [hub.docker.requests.length, hub.ghcr.requests.length] as const;
      const response = await hub.request(target, { ...init, host });
      seen.set(response.status, (seen.get(response.status) ?? 0) + 1);

      expect(errors).toEqual([]);
      expect(hub.network.strays.filter((stray) => !UNREACHED.test(stray))).toEqual([]);
      expectFair(response, method, target);
      for (const sent of [...hub.docker.requests.slice(before[0]), ...hub.ghcr.requests.slice(before[1])]) {
        const ours = Object.keys(sent.headers);
        expect(ours.filter((each) => !SENT_UPSTREAM.includes(each))).toEqual([]);
        expect(sent.headers.authorization ?? "Bearer token-").toMatch(/^Bearer token-/);
        expect(JSON.stringify(sent)).not.toContain(SECRET);
        expect(sent.headers.via).toMatch(/^([\w./:-]+ [\w.:-]+, )*1\.1 portolan-[a-f0-9-]+$/);
        expect(["GET", "HEAD"]).toContain(sent.method);
        const requested = [...new URLSearchParams(sent.query).keys()];
        expect(
          requested.filter((each) => !(sent.kind === "token" ? FOR_TOKENS : FOR_LISTINGS).includes(each)),
        ).toEqual([]);
        expect(decodeURIComponent(sent.path)).not.toMatch(/\.\.|\/\/|[^\x21-\x7e]/);
      }
    }),
    { numRuns: 800 },
  );
  // Requests that all fail at the gate would prove nothing.
  expect([...seen.keys()]).toEqual(expect.arrayContaining([200, 400, 403, 404, 405]));
});

const FAULTS: Record<string, Behaviour> = {
  "429": behaviours.tooManyRequests(),
  "429 with Retry-After": behaviours.tooManyRequests(5),
  "500": { status: 500 },
  "502": { status: 502 },
  "503": { status: 503 },
  "401": { status: 401, headers: { "www-authenticate": 'Bearer realm="https://evil.test/token"' } },
  "405": { status: 405 },
  "lost connection": { network: true },
  "wrong bytes": behaviours.corrupted(),
  "cut early": behaviours.cutAfter(10),
  "cut late": behaviours.cutAfter(900),
  "ended early": behaviours.endsAfter(100),
  "length too large": behaviours.wrongContentLength(7),
  "length too small": behaviours.wrongContentLength(-7),
  "no length": behaviours.withoutContentLength(),
  "no bytes": behaviours.emptyBody(),
  "a page": behaviours.htmlPage(),
  "a part": behaviours.partialToPlainGet(),
  "another digest": behaviours.changedHeaders({ "docker-content-digest": `sha256:${HEX}` }),
  "another type": behaviours.changedHeaders({ "content-type": "text/html" }),
  "a type of no manifest": behaviours.changedHeaders({ "content-type": "application/json" }),
  "gzip on the way": behaviours.gzippedOnTheWay(),
  "a false label of gzip": behaviours.changedHeaders({ "content-encoding": "gzip" }),
  "a redirect inwards": behaviours.redirectTo("http://169.254.169.254/latest/meta-data"),
  "a redirect in circles": behaviours.redirectLoop(),
};
const step = fc.record({
  act: fc.constantFrom(
    ...([
      "tag",
      "tag",
      "index",
      "manifest",
      "config",
      "layer",
      "layer",
      "range",
      "isolate",
      "later",
      "alarm",
    ] as const),
  ),
  method: fc.constantFrom("GET" as const, "GET" as const, "GET" as const, "HEAD" as const),
  fault: fc.option(fc.constantFrom(...Object.keys(FAULTS)), { freq: 3 }),
  where: fc.constantFrom("manifest", "blob", "storage", "token", undefined),
  /** As where a registry or its storage answers GET alone. */
  onHead: fc.boolean(),
  times: fc.constantFrom(1, 2, 3),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

let images = 0;

test("whatever upstream does in the course of pulls, no wrong byte is served as right, and none is stored", async () => {
  const repository = "some/application";
  const checked = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 10 }), async (steps) => {
      const layer = patternBytes(2000 + images, ++images);
      layer[0] = 0;
      const tag = `run-${images}`;
      const platforms = images % 2 ? ["linux/amd64"] : ["linux/amd64", "linux/arm64"];
      const image = await hub.docker.addImage(repository, tag, { layers: [layer], platforms });
      for (const each of steps) {
        const fault = each.fault === null ? undefined : FAULTS[each.fault];
        const where = { ...(each.where && { kind: each.where }), ...(each.onHead && { method: "HEAD" }) };
        if (fault) hub.docker.fail(where, fault, each.times);
        await take(each, repository, tag, image);
        hub.docker.clearFaults();
        expect(errors).toEqual([]);
      }
      hub.recover();
      for (const act of ["tag", "index", "manifest", "config", "layer"] as const) {
        const response = await take({ act, method: "GET", fault: null }, repository, tag, image);
        expect([act, response?.status]).toEqual([act, 200]);
      }
      for (const key of await hub.stored()) {
        if (checked.has(key)) continue;
        const object = await hub.bindings.STORE.get(key);
        const digest = await digestOf(new Uint8Array((await object?.arrayBuffer()) ?? new ArrayBuffer(0)));
        expect(key.replace(/^(manifests|blobs)\/sha256\/..\//, "sha256:")).toBe(digest);
        checked.add(key);
      }
      expect(hub.network.strays.filter((stray) => stray !== "mirror.gcr.io")).toEqual([]);
    }),
    { numRuns: 30 },
  );
  expect(checked.size).toBeGreaterThan(100);
});

/** Does a step and checks its response, if it has one. */
async function take(
  { act, method, fault }: Pick<Step, "act" | "method" | "fault">,
  repository: string,
  tag: string,
  image: Image,
): Promise<MirrorResponse | null> {
  const layer = image.layers[0]?.digest ?? "";
  if (act === "isolate") hub.newIsolate();
  if (act === "later") hub.clock.ahead += 400_000;
  if (act === "alarm") await hub.runAlarm(layer);
  if (act === "isolate" || act === "later" || act === "alarm") return null;
  const at = {
    tag: `manifests/${tag}`,
    index: `manifests/${image.target.digest}`,
    manifest: `manifests/${image.manifests[0]?.digest}`,
    config: `blobs/${image.configs[0]?.digest}`,
    layer: `blobs/${layer}`,
    range: `blobs/${layer}`,
  }[act];
  const headers: Record<string, string> = act === "range" ? { Range: "bytes=100-199" } : {};
  const response = await hub.request(`/v2/${repository}/${at}`, { method, headers });
  const text = new TextDecoder().decode(response.bytes);
  expect([200, 206, 403, 404, 429, 503]).toContain(response.status);
  // Existing content is reported as missing only if upstream did so.
  expect(response.status).not.toBe(404);
  if (response.status >= 400) {
    if (method === "GET") expectOciError(response, text, at);
    return response;
  }
  const digest = response.headers.get("Docker-Content-Digest") ?? "";
  const expected = act === "tag" ? image.target.digest : at.replace(/^.*\//, "");
  // A HEAD of a tag can only be believed; a body proves what it is.
  if (method === "GET" || act !== "tag") expect(digest).toBe(expected);
  const declared = response.headers.get("Content-Length");
  const isWhole = !response.broken && (declared === null || Number(declared) === response.bytes.byteLength);
  if (method === "HEAD" || !isWhole || response.status === 206) return response;
  // A blob on its way through is proved by its last byte only, and by then the client has it: who requested by digest checks.
  const isTransient =
    at.startsWith("blobs/") && response.headers.get("Cache-Status")?.includes("detail=upstream");
  if (!isTransient || fault === null) expect(await digestOf(new Uint8Array(response.bytes))).toBe(digest);
  return response;
}
