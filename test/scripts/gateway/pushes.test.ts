/** Pushes through a gateway to a mirror behind a proxy that refuses large bodies. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../../src/oci/digest.ts";
import { settled, until } from "../../sockets/support/deadline.ts";
import { digest } from "../support/images.ts";
import { type Bytes, errorIn, GatewayClient, LIMIT, openScene, type Scene } from "./support.ts";

const MIB = 1024 * 1024;
/** Bytes of the gateway's chunks. */
const CHUNK = 16 * MIB;

let scene: Scene;
let client: GatewayClient;

beforeAll(async () => {
  scene = await openScene({ HOSTED_QUOTA: JSON.stringify({ "hosted/team/small": "1 MB" }) });
});
beforeEach(() => {
  client = new GatewayClient(scene.gateway, "team/app");
  scene.proxy.requests = [];
});
afterEach(() => {
  scene.proxy.cutsAnswer = () => false;
  scene.proxy.keepsAnswer = () => false;
});
afterAll(() => scene?.close());

const random = (size: number) => new Uint8Array(randomBytes(size)) as Bytes;
const patches = () => scene.proxy.requests.filter(({ method }) => method === "PATCH");
const sum = (requests: readonly { bytes: number }[]) =>
  requests.reduce((total, { bytes }) => total + bytes, 0);

/** What the far mirror itself has. */
function atFar(path: string, repository = "team/app", method = "HEAD"): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`x:${scene.key}`).toString("base64")}`;
  return fetch(`${scene.far.url}/v2/hosted/${repository}/${path}`, {
    method,
    headers: { Authorization: authorization },
  });
}

describe("a layer above the limit", () => {
  test.each(["pushWhole", "pushStream"] as const)("is at the far mirror once %s succeeds", async (push) => {
    const bytes = random(LIMIT * 2);
    const response = await client[push](bytes);
    const name = await digestOf(bytes);
    expect([response.status, response.headers.get("Docker-Content-Digest")]).toEqual([201, name]);
    expect(response.headers.get("Location")).toBe(`/v2/hosted/team/app/blobs/${name}`);
    expect((await atFar(`blobs/${name}`)).headers.get("Content-Length")).toBe(String(bytes.byteLength));
    expect(patches().map((each) => each.bytes)).toEqual([CHUNK, CHUNK, LIMIT * 2 - 2 * CHUNK]);
  });

  test("goes on where the far mirror says it is after a lost response", async () => {
    let cuts = 0;
    scene.proxy.cutsAnswer = ({ method }) => method === "PATCH" && ++cuts === 2;
    const bytes = random(LIMIT * 2);
    expect((await client.pushStream(bytes)).status).toBe(201);
    expect(sum(patches())).toBe(bytes.byteLength);
  });

  test("is ended again where the far mirror's response to its end is lost", async () => {
    let cuts = 0;
    scene.proxy.cutsAnswer = ({ method }) => method === "PUT" && ++cuts === 1;
    const bytes = random(LIMIT + 1);
    expect((await client.pushWhole(bytes)).status).toBe(201);
    expect(sum(patches())).toBe(bytes.byteLength);
  });

  test("waits for the far mirror: the gateway is two chunks ahead of it at most, and nothing is on its disk", async () => {
    scene.proxy.keepsAnswer = ({ method }) => method === "PATCH";
    const gone = new AbortController();
    let taken = 0;
    const piece = random(MIB);
    const body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          // fetch reads on after it was aborted.
          if (gone.signal.aborted) return controller.error(gone.signal.reason);
          taken += piece.byteLength;
          controller.enqueue(piece);
        },
      },
      { highWaterMark: 0 },
    );
    const location = await client.open();
    const patch = client.send("PATCH", location, { body, signal: gone.signal });
    patch.catch(() => {});
    try {
      await until("two chunks to be taken", 30_000, () => taken >= 2 * CHUNK);
      const ahead = await settled("the bytes taken", { quiet: 1_000, deadline: 30_000 }, () => taken);
      // What sockets hold comes on top: between the client, the runtime and the gateway.
      expect(ahead).toBeLessThan(3 * CHUNK);
      const data = join(scene.folder, "gateway");
      expect(await readdir(join(data, "incoming"))).toEqual([]);
      expect(
        (await readdir(join(data, "store"), { recursive: true })).filter((name) => /hosted/.test(name)),
      ).toEqual([]);
    } finally {
      gone.abort();
    }
  });
});

describe("what the far mirror has", () => {
  const bytes = random(3 * MIB);

  beforeAll(async () => {
    expect((await new GatewayClient(scene.gateway, "team/app").pushWhole(bytes)).status).toBe(201);
  });

  test("isn't sent again to the same repository", async () => {
    expect((await client.pushWhole(bytes)).status).toBe(201);
    expect(sum(scene.proxy.requests)).toBe(0);
  });

  test("is mounted into another one, with and without the client's word", async () => {
    const other = new GatewayClient(scene.gateway, "team/other");
    const name = await digestOf(bytes);
    const mounted = await other.send("POST", `blobs/uploads/?mount=${name}&from=hosted/team/app`);
    expect([mounted.status, mounted.headers.get("Location")]).toEqual([
      201,
      `/v2/hosted/team/other/blobs/${name}`,
    ]);
    expect((await new GatewayClient(scene.gateway, "team/third").pushWhole(bytes)).status).toBe(201);
    expect(sum(scene.proxy.requests)).toBe(0);
    expect((await atFar(`blobs/${name}`, "team/third")).status).toBe(200);
  });

  test("isn't mounted for a client that sends something else", async () => {
    const fourth = new GatewayClient(scene.gateway, "team/fourth");
    const name = await digestOf(bytes);
    const response = await fourth.send("PUT", `${await fourth.open()}?digest=${name}`, {
      body: random(3 * MIB),
    });
    expect(await errorIn(response)).toMatchObject({ status: 400, code: "DIGEST_INVALID" });
  });
});

describe("an upload", () => {
  test("goes on at its offset, and nowhere else", async () => {
    const bytes = random(1000);
    const location = await client.open();
    const send = (first: number, end: number) =>
      client.send("PATCH", location, {
        body: bytes.subarray(first, end),
        headers: { "Content-Range": `${first}-${end - 1}` },
      });
    expect((await send(0, 400)).headers.get("Range")).toBe("0-399");
    const wrong = await send(500, 1000);
    expect([wrong.status, wrong.headers.get("Range")]).toEqual([416, "0-399"]);
    const status = await client.send("GET", location);
    expect([status.status, status.headers.get("Range"), status.headers.get("Location")]).toEqual([
      204,
      "0-399",
      location,
    ]);
    const name = await digestOf(bytes);
    const put = await client.send("PUT", `${location}?digest=${name}`, { body: bytes.subarray(400) });
    expect(put.status).toBe(201);
    expect(new Uint8Array(await (await atFar(`blobs/${name}`, "team/app", "GET")).arrayBuffer())).toEqual(
      bytes,
    );
  });

  test("goes on after a client's body broke off, from what the far mirror has", async () => {
    const bytes = random(CHUNK + 1000);
    const location = await client.open();
    const gone = new AbortController();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytes),
    });
    const patch = client.send("PATCH", location, { body, signal: gone.signal });
    patch.catch(() => {});
    await expect.poll(() => patches().length, { timeout: 30_000 }).toBe(1);
    gone.abort();
    const status = await client.send("GET", location);
    expect(status.headers.get("Range")).toBe(`0-${CHUNK - 1}`);
    const put = await client.send("PUT", `${location}?digest=${await digestOf(bytes)}`, {
      body: bytes.subarray(CHUNK),
      headers: { "Content-Range": `${CHUNK}-${CHUNK + 999}` },
    });
    expect(put.status).toBe(201);
  });

  test("is cancelled at the far mirror too", async () => {
    const location = await client.open();
    expect((await client.send("DELETE", location)).status).toBe(204);
    expect(scene.proxy.requests.map(({ method }) => method)).toEqual(["POST", "DELETE"]);
    expect((await client.send("GET", location)).status).toBe(404);
  });

  describe("of which the gateway restarts in the middle", () => {
    const bytes = random(1000);
    const kept = () => join(scene.folder, "gateway", "gateway", `${location.split("/").at(-1)}.json`);
    let location: string;

    beforeEach(async () => {
      location = await client.open();
      await client.send("PATCH", location, { body: bytes.subarray(0, 400) });
      await scene.restart();
      client = new GatewayClient(scene.gateway, "team/app");
    });
    afterEach(() => expect(existsSync(kept())).toBe(false));

    test("goes on at its offset, and nowhere else", async () => {
      const wrong = await client.send("PATCH", location, {
        body: bytes.subarray(500),
        headers: { "Content-Range": "500-999" },
      });
      expect([wrong.status, wrong.headers.get("Range")]).toEqual([416, "0-399"]);
      const name = await digestOf(bytes);
      const put = await client.send("PUT", `${location}?digest=${name}`, { body: bytes.subarray(400) });
      expect(put.status).toBe(201);
      expect((await atFar(`blobs/${name}`)).headers.get("Content-Length")).toBe("1000");
    });

    test("is refused at its end if it isn't its digest", async () => {
      const name = digest("another one");
      const put = await client.send("PUT", `${location}?digest=${name}`, { body: bytes.subarray(400) });
      expect(await errorIn(put)).toMatchObject({ status: 400, code: "DIGEST_INVALID" });
      expect((await atFar(`blobs/${name}`)).status).toBe(404);
    });

    test("is unknown once the far mirror has given it up, so that clients restart it", async () => {
      const { pathname } = new URL(JSON.parse(await readFile(kept(), "utf8")).location);
      expect((await atFar(pathname.split("/app/")[1] ?? "", "team/app", "DELETE")).status).toBe(204);
      const response = await client.send("PATCH", location, { body: bytes.subarray(400) });
      expect(await errorIn(response)).toMatchObject({ status: 404, code: "BLOB_UPLOAD_UNKNOWN" });
    });

    test("isn't another repository's", async () => {
      const other = location.replace("team/app", "team/other");
      expect((await client.send("GET", other)).status).toBe(404);
      expect((await client.send("DELETE", location)).status).toBe(204);
    });
  });

  test("is its own repository's", async () => {
    const location = (await client.open()).replace("team/app", "team/other");
    const response = await client.send("PATCH", location, { body: random(10) });
    expect(await errorIn(response)).toMatchObject({ status: 404, code: "BLOB_UPLOAD_UNKNOWN" });
  });
});

describe("a refusal", () => {
  test("of the far mirror comes before any content, with its message", async () => {
    const response = await new GatewayClient(scene.gateway, "private/app").send("POST", "blobs/uploads/");
    expect(await errorIn(response)).toMatchObject({
      status: 403,
      code: "DENIED",
      message: expect.stringMatching(/access key.*hosted\/private\/app.*--key-file/),
    });
  });

  test.each(["pushWhole", "pushStream"] as const)("after the content is a DENIED too: %s", async (push) => {
    const response = await new GatewayClient(scene.gateway, "team/small")[push](random(2 * MIB));
    expect(await errorIn(response)).toMatchObject({
      status: 403,
      code: "DENIED",
      message: expect.stringContaining("the quota of 1000000 bytes for team/small is used up"),
    });
  });

  test("is the gateway's for content that isn't its digest, and the far mirror keeps none of it", async () => {
    const response = await client.pushStream(random(1000), digest("other"));
    expect(await errorIn(response)).toMatchObject({ status: 400, code: "DIGEST_INVALID" });
    expect(scene.proxy.requests.at(-1)?.method).toBe("DELETE");
  });

  test("of a mirror that can't be reached says so", async () => {
    await scene.restart({ pushTo: { url: "http://127.0.0.1:4", key: scene.key } });
    try {
      const response = await new GatewayClient(scene.gateway, "team/app").send("POST", "blobs/uploads/");
      expect(await errorIn(response)).toMatchObject({
        status: 403,
        code: "DENIED",
        message: expect.stringContaining("127.0.0.1:4 can't be reached"),
      });
    } finally {
      await scene.restart();
    }
  });
});
