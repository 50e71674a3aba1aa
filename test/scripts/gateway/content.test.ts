/** What is read, listed and deleted through a gateway: the far mirror's, verified. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import { patternBytes } from "../../support/fake-registry.ts";
import { digest } from "../support/images.ts";
import { portolan } from "../support/portolan.ts";
import { type Bytes, errorIn, GatewayClient, manifestOf, openScene, type Scene, TYPE } from "./support.ts";

const LAYER = patternBytes(3_000_000, 1) as Bytes;

let scene: Scene;
let client: GatewayClient;
let image: Digest;
let layer: Digest;

beforeAll(async () => {
  scene = await openScene();
  client = new GatewayClient(scene.gateway, "team/app");
  image = await client.pushImage("1.0", LAYER);
  await client.pushImage("2.0", LAYER);
  layer = await digestOf(LAYER);
});
afterEach(() => {
  scene.proxy.altersAnswer = () => false;
});
afterAll(() => scene?.close());

const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());

describe("a manifest", () => {
  test.each(["tag", "digest"])("is read by %s, and by HEAD with its length", async (kind) => {
    const path = `manifests/${kind === "tag" ? "1.0" : image}`;
    const got = await client.send("GET", path);
    const bytes = await bytesOf(got);
    expect([got.status, got.headers.get("Content-Type"), await digestOf(bytes)]).toEqual([200, TYPE, image]);
    const head = await client.send("HEAD", path);
    expect([
      head.status,
      head.headers.get("Docker-Content-Digest"),
      head.headers.get("Content-Length"),
    ]).toEqual([200, image, String(bytes.byteLength)]);
  });

  test("that isn't there is unknown", async () => {
    expect(await errorIn(await client.send("GET", "manifests/3.0"))).toMatchObject({
      status: 404,
      code: "MANIFEST_UNKNOWN",
    });
    expect((await client.send("HEAD", "manifests/3.0")).status).toBe(404);
  });

  test("that was changed on the way is refused", async () => {
    scene.proxy.altersAnswer = ({ path }) => path.includes("/manifests/");
    const { status } = await client.send("GET", `manifests/${image}`);
    expect(status).toBe(503);
  });

  test("with another digest than its name is refused before it is sent", async () => {
    scene.proxy.requests = [];
    const response = await client.send("PUT", `manifests/${digest("other")}`, {
      body: await manifestOf(LAYER, LAYER),
      headers: { "Content-Type": TYPE },
    });
    expect(await errorIn(response)).toMatchObject({ status: 400, code: "DIGEST_INVALID" });
    expect(scene.proxy.requests).toEqual([]);
  });

  test("that needs what isn't there is refused in the far mirror's words", async () => {
    const response = await client.send("PUT", "manifests/3.0", {
      body: await manifestOf(new Uint8Array([1]) as Bytes, LAYER),
      headers: { "Content-Type": TYPE },
    });
    expect(await errorIn(response)).toMatchObject({
      status: 404,
      code: "MANIFEST_BLOB_UNKNOWN",
      message: expect.stringContaining("the manifest needs blobs that aren't in this repository"),
    });
  });

  test("by its digest gets tags from the query, and a referrer is listed", async () => {
    const config = new TextEncoder().encode('{"tag":"1.0"}') as Bytes;
    const size = (await bytesOf(await client.send("GET", "manifests/1.0"))).byteLength;
    const body = await manifestOf(config, LAYER, {
      artifactType: "application/vnd.example.report",
      subject: { mediaType: TYPE, digest: image, size },
    });
    const name = await digestOf(new TextEncoder().encode(body));
    const put = await client.send("PUT", `manifests/${name}?tag=report&tag=latest-report`, {
      body,
      headers: { "Content-Type": TYPE },
    });
    expect([put.status, put.headers.get("OCI-Subject"), put.headers.get("OCI-Tag")]).toEqual([
      201,
      image,
      "report, latest-report",
    ]);
    const listed = await client.send("GET", `referrers/${image}?artifactType=application/vnd.example.report`);
    expect(listed.headers.get("OCI-Filters-Applied")).toBe("artifactType");
    expect(await listed.json()).toMatchObject({ manifests: [{ digest: name }] });
  });
});

describe("a blob", () => {
  test("is read whole, in parts, and by HEAD", async () => {
    const whole = await client.send("GET", `blobs/${layer}`);
    expect(whole.headers.get("Content-Length")).toBe(String(LAYER.byteLength));
    expect(await bytesOf(whole)).toEqual(LAYER);
    const part = await client.send("GET", `blobs/${layer}`, { headers: { Range: "bytes=1000-1999" } });
    expect([part.status, part.headers.get("Content-Range")]).toEqual([
      206,
      `bytes 1000-1999/${LAYER.byteLength}`,
    ]);
    expect(await bytesOf(part)).toEqual(LAYER.subarray(1000, 2000));
    const head = await client.send("HEAD", `blobs/${layer}`);
    expect([head.status, head.headers.get("Content-Length")]).toEqual([200, String(LAYER.byteLength)]);
    const beyond = await client.send("GET", `blobs/${layer}`, { headers: { Range: "bytes=9000000-" } });
    expect(beyond.status).toBe(416);
  });

  test("that was changed on the way never arrives whole", async () => {
    scene.proxy.altersAnswer = ({ path }) => path.includes("/blobs/");
    const response = await client.send("GET", `blobs/${layer}`);
    await expect(bytesOf(response)).rejects.toThrow();
  });

  test("that isn't there is unknown", async () => {
    const response = await client.send("GET", `blobs/${digest("other")}`);
    expect(await errorIn(response)).toMatchObject({ status: 404, code: "BLOB_UNKNOWN" });
  });
});

describe("a list", () => {
  test("of tags is paged, under the client's name and path", async () => {
    const first = await client.send("GET", "tags/list?n=1");
    expect(await first.json()).toEqual({ name: "hosted/team/app", tags: ["1.0"] });
    const next = /^<([^>]+)>; rel="next"$/.exec(first.headers.get("Link") ?? "")?.[1] ?? "";
    expect(next).toMatch(/^\/v2\/hosted\/team\/app\/tags\/list\?/);
    expect(await (await client.send("GET", next)).json()).toMatchObject({ tags: ["2.0"] });
  });

  test("of repositories is the far mirror's", async () => {
    const response = await fetch(`${scene.gateway.url}/v2/_catalog`);
    expect(await response.json()).toEqual({ repositories: ["hosted/team/app"] });
  });
});

describe("a deletion", () => {
  test("is the far mirror's to refuse", async () => {
    const response = await client.send("DELETE", "manifests/2.0");
    expect(await errorIn(response)).toMatchObject({ status: 403, code: "DENIED" });
    expect((await client.send("HEAD", "manifests/2.0")).status).toBe(200);
  });

  test("is done there where the key may", async () => {
    const temporary = new GatewayClient(scene.gateway, "team/tmp/app");
    await temporary.pushImage("1.0", LAYER);
    expect((await temporary.send("DELETE", "manifests/1.0")).status).toBe(202);
    expect((await temporary.send("HEAD", "manifests/1.0")).status).toBe(404);
  });
});

test("the owner sees what was sent on, and no hosted repositories of the gateway's own", async () => {
  const adminKey = (await readFile(join(scene.folder, "gateway", "admin-key"), "utf8")).trim();
  const headers = { Authorization: `Bearer ${adminKey}` };
  const status = await (await fetch(`${scene.gateway.url}/_/status`, { headers })).json();
  expect(status).toMatchObject({ missing: [], hosted: null });
  const { forwarded } = status as { forwarded: Record<string, unknown> };
  const { blobs, manifests, bytes } = forwarded;
  expect(forwarded.to).toBe(scene.proxy.host);
  expect(Number(blobs)).toBeGreaterThanOrEqual(3);
  expect(Number(manifests)).toBeGreaterThanOrEqual(2);
  expect(Number(bytes)).toBeGreaterThan(LAYER.byteLength);
  const metrics = await (await fetch(`${scene.gateway.url}/_/metrics`, { headers })).text();
  expect(metrics).toContain(`portolan_forwarded_objects_total{kind="manifest"} ${manifests}\n`);
  expect(metrics).not.toContain("portolan_hosted_");
});

describe("the owner who asks a gateway for its own hosted repositories gets the address of the mirror that has them", () => {
  const reason = () => `hosted repositories are at http://${scene.proxy.host} (--push-to): ask that mirror`;
  const adminKey = async () => (await readFile(join(scene.folder, "gateway", "admin-key"), "utf8")).trim();
  const command = (...args: string[]) =>
    portolan([...args, "--mirror", scene.gateway.url, "--data", join(scene.folder, "gateway")]);

  test.each([["gc", "--dry-run"], ["gc"], ["ls", "--hosted"]])("by %s %s", async (...args) => {
    expect(await command(...args)).toMatchObject({ code: 2, errors: expect.stringContaining(reason()) });
  });

  test("by the page, which collects and deletes nothing", async () => {
    const { url } = scene.gateway;
    const signIn = new URLSearchParams({ key: await adminKey(), next: "/_/owner" });
    const own = { Origin: url, Accept: "text/html" };
    const init = { method: "POST", redirect: "manual" } as const;
    const session = await fetch(`${url}/_/session`, { ...init, headers: own, body: signIn });
    const Cookie = session.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    const headers = { ...own, Cookie };
    const page = await (await fetch(`${url}/_/owner/hosted`, { headers })).text();
    expect(page).toContain(`href="http://${scene.proxy.host}/_/owner/hosted"`);
    expect(page).not.toContain("Run now");
    for (const fields of [{ action: "gc" }, { action: "untag", tag: "1.0" }]) {
      const body = new URLSearchParams(fields);
      const to = `${url}/_/owner/hosted?repository=team%2Fapp`;
      const refused = await fetch(to, { ...init, headers, body });
      expect([refused.status, await refused.text()]).toEqual([409, expect.stringContaining(reason())]);
    }
  });

  test("at the start, where rules are set that only the other mirror applies", async () => {
    const messages: string[] = [];
    await scene.restart({
      vars: { HOSTED_RETENTION: '{"hosted/ci/*":{"keep":10}}', HOSTED_SPARSE: "true" },
      onMessage: ({ text }) => messages.push(text),
    });
    expect(messages).toContainEqual(
      `HOSTED_RETENTION, HOSTED_SPARSE have no effect here: hosted repositories are at http://${scene.proxy.host}, which has rules of its own`,
    );
  });
});
