/** Shared by the fault tests: a mirror with one image upstream, tests named by fault, and the checks made after each. */

import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, expect, test } from "vitest";
import { createApp } from "../../src/app.ts";
import type { Env } from "../../src/services.ts";
import { digestOf } from "../support/fake-registry/bytes.ts";
import { type FakeRegistry, type Image, patternBytes } from "../support/fake-registry.ts";
import { type MirrorResponse, type TestMirror, useMirror } from "../support/mirror.ts";
import { FAULTS, type FaultOf, type Heading, nameOf, OVER_SOCKETS } from "./list.ts";

export const LAYER = patternBytes(300_000, 1);
export const TAG = "/v2/library/demo/manifests/latest";
/** What a cold blob says of itself. */
export const COLD = "Portolan; fwd=uri-miss; fwd-status=200; stored; detail=upstream";
export const WARM = "Portolan; hit; detail=store";
export const CLIENTS = {
  containerd: { headers: { "User-Agent": "containerd/1.6.20" }, search: "?ns=docker.io" },
  dockerd: { headers: { "User-Agent": "docker/20.10.24 go/go1.19.8" }, search: "" },
  podman: { headers: { "User-Agent": "containers/5.23.1 (github.com/containers/image)" }, search: "" },
  crane: { headers: { "User-Agent": "crane/0.20.2" }, search: "" },
};

/** `library/demo:latest` of docker.io, with one layer. */
export interface Demo {
  image: Image;
  /** The layer's. */
  digest: string;
  blob: string;
  manifest: string;
}

export interface Scene<H extends Heading> {
  mirror: TestMirror;
  demo: Demo;
  fault(name: FaultOf<H>, run: () => Promise<void>): void;
  fault(name: FaultOf<H>, variant: string, run: () => Promise<void>): void;
}

/**
 * Called at the top of a test file: `fault` defines tests named as in the list. After each test the store must be
 * sound; and together they must cover their heading.
 */
export function useFaults<H extends Heading>(
  heading: H,
  { vars = {} }: { vars?: Record<string, unknown> } = {},
): Scene<H> {
  const mirror = useMirror(vars);
  const demo = {} as Demo;
  const seen = new Set<string>();
  beforeEach(async () => {
    const image = await mirror.docker.addImage("library/demo", "latest", { layers: [LAYER] });
    const digest = image.layers[0]?.digest ?? "";
    const manifest = `/v2/library/demo/manifests/${image.target.digest}`;
    Object.assign(demo, { image, digest, blob: `/v2/library/demo/blobs/${digest}`, manifest });
  });
  const fault = (name: FaultOf<H>, ...rest: [() => Promise<void>] | [string, () => Promise<void>]) => {
    const [variant, run] = rest.length === 2 ? rest : [undefined, rest[0]];
    seen.add(name);
    test(nameOf(name, variant), async () => {
      await run();
      await expectSoundStore();
    });
  };
  test("each fault of this heading has its test", () => {
    const missing = FAULTS[heading].filter((name) => !seen.has(name) && !OVER_SOCKETS.includes(name));
    expect(missing).toEqual([]);
  });
  return { mirror, demo, fault };
}

/** Every object matches the digest in its key; link records are only their key, and listings may have any content. */
async function expectSoundStore(): Promise<void> {
  const { STORE } = env as unknown as Env;
  for (const { key, size } of (await STORE.list()).objects) {
    if (/^links\/[a-z0-9.-]+\/[a-z0-9._/-]+\/_\/(sha256\/[0-9a-f]{64}|sha512\/[0-9a-f]{128})$/.test(key)) {
      expect(size, key).toBe(0);
      continue;
    }
    if (/^(links|listings)\/[a-z0-9.-]+\/[a-z0-9._/-]+\/_\/(listings\/)?[0-9a-f]{64}$/.test(key)) continue;
    const [, algorithm, start, hex] =
      /^(?:private\/)?(?:blobs|manifests)\/(sha256|sha512)\/(..)\/([0-9a-f]+)$/.exec(key) ?? [];
    expect(hex?.slice(0, 2), key).toBe(start);
    const bytes = (await (await STORE.get(key))?.arrayBuffer()) ?? new ArrayBuffer(0);
    const digest = await digestOf(new Uint8Array(bytes), algorithm === "sha512" ? "sha512" : "sha256");
    expect(digest).toBe(`${algorithm}:${hex}`);
  }
}

export function blobKey(digest: string): string {
  return keyOf("blobs", digest);
}

export function manifestKey(digest: string): string {
  return keyOf("manifests", digest);
}

function keyOf(kind: string, digest: string): string {
  const [algorithm, hex = ""] = digest.split(":");
  return `${kind}/${algorithm}/${hex.slice(0, 2)}/${hex}`;
}

export function cacheStatus({ headers }: MirrorResponse): string | null {
  return headers.get("Cache-Status");
}

/** The upstream's requests since the last call: `GET blob 307`. */
export function calls(registry: FakeRegistry): string[] {
  const seen = registry.requests.map(({ method, kind, status }) => `${method} ${kind} ${status}`);
  registry.requests.length = 0;
  return seen;
}

/** The same bytes, of the length that the headers declare. */
export async function expectWhole(response: MirrorResponse, bytes: Uint8Array = LAYER): Promise<void> {
  const { status, headers, broken } = response;
  expect([status, broken, response.bytes.byteLength]).toEqual([200, false, bytes.byteLength]);
  expect(await digestOf(new Uint8Array(response.bytes))).toBe(await digestOf(new Uint8Array(bytes)));
  const length = headers.get("Content-Length");
  if (length !== null) expect(length).toBe(String(bytes.byteLength));
}

/** An error in the registries' format, uncacheable, and without headers about content. */
export function expectRefused(response: MirrorResponse, status: number, code: string): void {
  expect([response.status, response.broken]).toEqual([status, false]);
  expect(response.json().errors).toEqual([expect.objectContaining({ code })]);
  expect(response.headers.get("Content-Type")).toBe("application/json");
  expect(response.headers.get("Cache-Control")).toBe("no-store");
  for (const name of ["Docker-Content-Digest", "ETag", "WWW-Authenticate", "Warning"])
    expect([name, response.headers.get(name)]).toEqual([name, null]);
}

/** The tag's last known manifest, marked as stale. */
export function expectStale(response: MirrorResponse, { target }: Image, forwardStatus: number | null): void {
  expect([response.status, response.headers.get("Docker-Content-Digest")]).toEqual([200, target.digest]);
  expect(response.bytes).toEqual(new Uint8Array(target.bytes));
  const forwarded = forwardStatus === null ? "" : `; fwd-status=${forwardStatus}`;
  expect(cacheStatus(response)).toBe(`Portolan; fwd=stale${forwarded}; detail=stale`);
  expect(response.headers.get("Warning")).toMatch(/^299 - "[^"]*hours ago"$/);
}

/** Pulls the whole image, so that it is cached. */
export async function pullAll({ mirror, demo }: Pick<Scene<Heading>, "mirror" | "demo">): Promise<void> {
  const { image, blob, manifest } = demo;
  const paths = [
    TAG,
    manifest,
    blob,
    ...image.configs.map(({ digest }) => blob.replace(/sha256:.*/, digest)),
  ];
  for (const path of paths) expect([path, (await mirror.request(path)).status]).toEqual([path, 200]);
}

/** Lets every tag expire, in a new isolate. */
export function later({ mirror }: Pick<Scene<Heading>, "mirror">, milliseconds = 3_600_000): void {
  mirror.clock.ahead += milliseconds;
  mirror.newIsolate();
  mirror.docker.requests.length = 0;
}

/** A response whose body the test reads itself; `settled` waits for the work behind it. */
export async function open(
  { services, bindings }: TestMirror,
  path: string,
  init?: RequestInit,
): Promise<{ response: Response; settled: () => Promise<void> }> {
  const context = createExecutionContext();
  const request = new Request(`https://mirror.test${path}`, init);
  const response = await createApp(services).fetch(request, bindings, context);
  return { response, settled: () => waitOnExecutionContext(context) };
}

/** The only durable tag record, as stored in KV. */
export async function tagRecord({
  bindings,
}: TestMirror): Promise<{ key: string; value: Record<string, unknown> }> {
  const [name] = (await bindings.TAGS.list()).keys;
  const key = name?.name ?? "";
  return { key, value: JSON.parse((await bindings.TAGS.get(key)) ?? "{}") };
}
