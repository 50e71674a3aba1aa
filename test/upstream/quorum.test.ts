/** Quorum: which votes count, how many are needed, and whom they are requested of. */
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/oci/digest.ts";
import { UPSTREAM_TIMING, UpstreamClient } from "../../src/upstream/client.ts";
import { stub, upstreamOf } from "./support.ts";

const NEW = `sha256:${"a".repeat(64)}`;
const OLD = `sha256:${"b".repeat(64)}`;
const THIRD = `sha256:${"c".repeat(64)}`;
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const BODY = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: {}, layers: [] });

type Respond = (request: Request) => Response | Promise<Response>;

/** A registry that names this digest. */
const naming =
  (digest: string, headers: Record<string, string> = {}): Respond =>
  () =>
    new Response(null, {
      headers: { "Content-Type": MANIFEST, "Docker-Content-Digest": digest, ...headers },
    });
const status =
  (code: number, headers: Record<string, string> = {}): Respond =>
  () =>
    new Response(null, { status: code, headers });
/** A registry that refuses HEAD, and sends this to a GET. */
const sending =
  (body: BodyInit, headers: Record<string, string> = {}, head = 405): Respond =>
  ({ method }) =>
    method === "HEAD"
      ? new Response(null, { status: head })
      : new Response(body, { headers: { "Content-Type": MANIFEST, ...headers } });
const silent: Respond = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

/** Has the sources vote, each of which responds in its own way; the first two must agree unless another number is given. */
async function vote(
  responses: Record<string, Respond>,
  { agree = 2, sources = Object.keys(responses).map((host) => `https://${host}`), via = "" } = {},
) {
  const { fetch, requested } = stub((request) => {
    const respond = responses[new URL(request.url).host];
    if (!respond) throw new TypeError("no such host");
    return respond(request);
  });
  const quorums = { "registry.test": { sources: sources.map((url) => new URL(url)), agree } };
  // Where a source is silent, the time is over once all that the others do at once is done.
  const timeOut = Object.values(responses).includes(silent) ? 20 : 60_000;
  const timing = { ...UPSTREAM_TIMING, vote: timeOut, retryPause: 1 };
  const credentials = { "registry.test": [{ username: "operator", password: "secret" }] };
  const client = new UpstreamClient({ fetch, now: Date.now, credentials, quorums, timing });
  const request = { upstream: upstreamOf(), repository: "owner/image", via };
  const agreement = await client.findAgreement(request, "latest", () => {});
  return { agreement, requested };
}

describe("a digest is agreed on", () => {
  test("by as many sources as have to", async () => {
    const { agreement } = await vote({ "a.test": naming(NEW), "b.test": naming(NEW) });
    expect(agreement).toEqual({ digest: NEW, votes: 2, sources: 2 });
  });

  test("against sources that fail, are silent or have another one", async () => {
    const { agreement } = await vote({
      "a.test": naming(NEW),
      "b.test": status(404),
      "c.test": silent,
      "d.test": naming(OLD),
      "e.test": naming(NEW),
    });
    expect(agreement).toEqual({ digest: NEW, votes: 2, sources: 5 });
  });

  test("without the sources that can't change it any more", async () => {
    let isCancelled = false;
    const { agreement } = await vote({
      "a.test": naming(NEW),
      "b.test": naming(NEW),
      "c.test": (request) => {
        request.signal.addEventListener("abort", () => {
          isCancelled = !(request.signal.reason instanceof DOMException);
        });
        return silent(request);
      },
    });
    expect([agreement?.votes, isCancelled]).toEqual([2, true]);
  });

  test("by a larger number than any other digest", async () => {
    const { agreement } = await vote({
      "a.test": naming(OLD),
      "b.test": naming(OLD),
      "c.test": naming(NEW),
      "d.test": naming(NEW),
      "e.test": naming(NEW),
    });
    expect(agreement).toEqual({ digest: NEW, votes: 3, sources: 5 });
  });
});

describe("there is no agreement", () => {
  test.each<[string, Record<string, Respond>, number]>([
    ["sources disagree", { "a.test": naming(NEW), "b.test": naming(OLD), "c.test": naming(THIRD) }, 2],
    ["too few agree", { "a.test": naming(NEW), "b.test": naming(NEW), "c.test": naming(OLD) }, 3],
    ["too few respond", { "a.test": naming(NEW), "b.test": status(404), "c.test": silent }, 2],
    [
      "two digests have as many votes",
      { "a.test": naming(NEW), "b.test": naming(OLD), "c.test": naming(NEW), "d.test": naming(OLD) },
      2,
    ],
  ])("where %s", async (_, responses, agree) => {
    expect((await vote(responses, { agree })).agreement).toBe(null);
  });

  test("where most votes are those of one host", async () => {
    const sources = ["https://a.test", "https://a.test/docker.io", "https://a.test.:8443", "https://b.test"];
    const responses = { "a.test": naming(OLD), "a.test.:8443": naming(OLD), "b.test": naming(NEW) };
    const { agreement, requested } = await vote(responses, { sources });
    expect(agreement).toBe(null);
    expect(requested.map(({ url }) => url)).toEqual([
      "https://a.test/v2/owner/image/manifests/latest",
      "https://b.test/v2/owner/image/manifests/latest",
    ]);
  });

  test("where sources redirect to one and the same host", async () => {
    const elsewhere = status(307, { Location: "https://c.test/v2/owner/image/manifests/latest" });
    const { agreement, requested } = await vote(
      { "a.test": elsewhere, "b.test": elsewhere, "c.test": naming(NEW) },
      { sources: ["https://a.test", "https://b.test"] },
    );
    expect(agreement).toBe(null);
    expect(requested.map(({ url }) => new URL(url).host)).not.toContain("c.test");
  });
});

describe("a source's vote", () => {
  test("is a HEAD's digest, and costs no more", async () => {
    const { requested } = await vote({ "a.test": naming(NEW), "b.test": naming(NEW) });
    expect(requested.map(({ method }) => method)).toEqual(["HEAD", "HEAD"]);
  });

  test.each<[string, Respond]>([
    ["refuses HEAD", sending(BODY)],
    ["names no digest", sending(BODY, {}, 200)],
    [
      "redirects within its host",
      (request) =>
        new URL(request.url).pathname.startsWith("/v2/")
          ? new Response(null, { status: 307, headers: { Location: "/storage" } })
          : sending(BODY)(request),
    ],
  ])("is the digest of what it sends where it %s", async (_, respond) => {
    const { agreement } = await vote({ "a.test": respond, "b.test": sending(BODY) });
    expect(agreement?.digest).toBe(await digestOf(new TextEncoder().encode(BODY)));
  });

  const page = "<!doctype html><title>Sign in</title>";
  test.each<[string, Respond]>([
    ["a page", () => new Response(page, { headers: { "Content-Type": "text/html" } })],
    ["a page labelled as a manifest", sending(page)],
    ["bytes of another digest than it names", sending(BODY, { "Docker-Content-Digest": OLD })],
    [
      "no more than a part",
      (request) => (request.method === "HEAD" ? status(405)(request) : new Response(BODY, { status: 206 })),
    ],
    ["more bytes than a manifest may have", sending(BODY.replace("{", `{${" ".repeat(4 * 1024 * 1024)}`))],
    ["a digest of a withdrawn algorithm", naming("md5:d41d8cd98f00b204e9800998ecf8427e")],
    ["a digest of what is no manifest", naming(NEW, { "Content-Type": "application/octet-stream" })],
  ])("doesn't count where it sends %s", async (_, respond) => {
    expect((await vote({ "a.test": respond, "b.test": respond })).agreement).toBe(null);
  });

  test("is requested without a login", async () => {
    const { requested } = await vote({
      "a.test": status(401, { "WWW-Authenticate": 'Basic realm="a.test"' }),
      "b.test": naming(NEW),
    });
    expect(requested.map(({ headers }) => headers.get("Authorization"))).toEqual([null, null]);
  });

  test("isn't requested for what has passed this mirror before", async () => {
    const responses = { "a.test": naming(NEW), "b.test": naming(NEW) };
    const { agreement, requested } = await vote(responses, { via: "1.1 portolan" });
    expect([agreement, requested]).toEqual([null, []]);
  });

  test("isn't requested through a proxy of the registry's own, which may be what has failed", async () => {
    const proxies: unknown[] = [];
    const fetch = async (_: unknown, init: object = {}) => {
      proxies.push(Reflect.get(init, "proxy"));
      return naming(NEW)(new Request("https://a.test"));
    };
    const quorum = { sources: [new URL("https://a.test"), new URL("https://b.test")], agree: 2 };
    const client = new UpstreamClient({ fetch, now: Date.now, quorums: { "registry.test": quorum } });
    const upstream = { ...upstreamOf(), proxy: "socks5h://127.0.0.1:1080" };
    await client.findAgreement({ upstream, repository: "owner/image" }, "latest", () => {});
    expect(proxies).toEqual([undefined, undefined]);
  });
});
