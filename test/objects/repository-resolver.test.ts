/** Simultaneous requests for the same object share one upstream response, and none depends on the resolver. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { RepositoryResolver } from "../../src/index.ts";
import { parseDigest } from "../../src/oci/digest.ts";
import { accessOf } from "../../src/pull/repository-access.ts";
import { createServices, isolate } from "../../src/services.ts";
import { behaviours, type Image } from "../support/fake-registry.ts";
import { heldFor } from "../support/held.ts";
import { useMirror } from "../support/mirror.ts";

const mirror = useMirror();
const tag = "/v2/library/demo/manifests/latest";
let image: Image;
let byDigest: string;

beforeEach(async () => {
  image = await mirror.docker.addImage("library/demo", "latest");
  byDigest = `/v2/library/demo/manifests/${image.target.digest}`;
});

function atOnce(path: string, method = "GET") {
  return Promise.all(Array.from({ length: 20 }, () => mirror.request(path, { method })));
}

function requested(method: string): number {
  return mirror.docker.requests.filter((request) => {
    return request.kind === "manifest" && request.method === method && request.status !== 401;
  }).length;
}

describe("many at once", () => {
  test.each([
    { how: "a tag by GET", path: () => tag, method: "GET" },
    { how: "a tag by HEAD", path: () => tag, method: "HEAD" },
    { how: "a digest", path: () => byDigest, method: "GET" },
  ])("requesting $how cost one upstream request and get the same response", async ({ path, method }) => {
    mirror.docker.fail({ kind: "manifest", authorized: true }, heldFor(20));
    const answers = await atOnce(path(), method);
    const seen = answers.map(({ status, headers }) => `${status} ${headers.get("Docker-Content-Digest")}`);
    expect(new Set(seen)).toEqual(new Set([`200 ${image.target.digest}`]));
    expect(requested(method)).toBe(1);
  });

  test("for whom a tag is due cost one HEAD", async () => {
    await mirror.request(tag);
    mirror.clock.ahead += 301_000;
    mirror.docker.reset();
    mirror.docker.fail({ kind: "manifest", authorized: true }, heldFor(20));
    const answers = await atOnce(tag);
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect([requested("HEAD"), requested("GET")]).toEqual([1, 0]);
  });

  test.each([
    { behaviour: behaviours.tooManyRequests(7), status: 429 },
    { behaviour: { status: 404 }, status: 404 },
    { behaviour: { status: 403 }, status: 403 },
    { behaviour: { status: 500 }, status: 503 },
  ])("all see upstream's failure, $status, and the next one asks again", async ({ behaviour, status }) => {
    mirror.docker.fail({ kind: "manifest", authorized: true }, heldFor(20));
    mirror.docker.fail({ kind: "manifest", authorized: true }, behaviour);
    const answers = await atOnce(tag);
    expect(new Set(answers.map((response) => response.status))).toEqual(new Set([status]));
    expect(requested("GET")).toBe(1);
    mirror.recover();
    expect((await mirror.request(tag)).status).toBe(200);
  });

  test("requesting different things don't wait for each other", async () => {
    const other = await mirror.docker.addImage("library/demo", "other");
    const [first, second] = await Promise.all([
      mirror.request(tag),
      mirror.request("/v2/library/demo/manifests/other"),
    ]);
    expect(first.headers.get("Docker-Content-Digest")).toBe(image.target.digest);
    expect(second.headers.get("Docker-Content-Digest")).toBe(other.target.digest);
  });
});

test("a request never waits for another identity's", async () => {
  const owner = { username: "owner", password: "hunter2" };
  const bindings = { ...mirror.bindings, UPSTREAM_CREDENTIALS: { "docker.io": [owner] } };
  isolate.services = createServices(bindings);
  mirror.docker.settings.credentials = [owner];
  mirror.docker.setVisibility("library/demo", "private");
  mirror.docker.fail({ kind: "manifest", authorized: true }, heldFor(2));
  const resolver = mirror.bindings.REPOSITORIES.getByName("docker.io/library/demo");
  const repository = { upstream: "docker.io", repository: "library/demo", via: "" };
  const as = (kind: "operator" | "anonymous") => accessOf(repository, { kind });
  const digest = parseDigest(image.target.digest);
  if (!digest) throw new Error("the image has no digest");
  const fetched = await Promise.all([
    resolver.fetchManifest(as("operator"), digest),
    resolver.fetchManifest(as("anonymous"), digest),
  ]);
  expect(fetched.map(({ ok }) => ok)).toEqual([true, false]);
  const resolved = await Promise.all([
    resolver.resolve(as("operator"), "latest", "GET"),
    resolver.resolve(as("anonymous"), "latest", "GET"),
  ]);
  expect(resolved.map(({ ok }) => ok)).toEqual([true, false]);
});

describe("a resolver that fails", () => {
  beforeEach(() => {
    const down = () => Promise.reject(new Error("the resolver is out of order"));
    vi.spyOn(RepositoryResolver.prototype, "resolve").mockImplementation(down);
    vi.spyOn(RepositoryResolver.prototype, "fetchManifest").mockImplementation(down);
  });

  test.each(["GET", "HEAD"])("leaves answers as they are: %s", async (method) => {
    for (const path of [tag, byDigest]) {
      const { status, headers } = await mirror.request(path, { method });
      expect([status, headers.get("Docker-Content-Digest")]).toEqual([200, image.target.digest]);
    }
  });

  test("leaves errors as they are", async () => {
    expect((await mirror.request("/v2/library/demo/manifests/none")).status).toBe(404);
    mirror.docker.fail({ kind: "manifest" }, behaviours.tooManyRequests(7));
    const { status, headers } = await mirror.request(tag);
    expect([status, headers.get("Retry-After")]).toEqual([429, "7"]);
  });
});
