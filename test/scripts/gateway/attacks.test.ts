/** What a gateway gives away: its key to no one, and another client's repositories to no one without a right. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { addKey } from "../../../src/access/key-changes.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { digest } from "../support/images.ts";
import { startLimitingProxy } from "../support/limiting-proxy.ts";
import { type Bytes, errorIn, GatewayClient, LIMIT, openScene, type Scene } from "./support.ts";

let scene: Scene;
const servers: Server[] = [];

beforeAll(async () => {
  scene = await openScene();
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});
afterAll(() => scene?.close());

interface Seen {
  url: string;
  requests: IncomingMessage[];
}

async function listening(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Seen> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    request.resume();
    handle(request, response);
  }).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return { requests, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe("the key, and an image", () => {
  test.each([307, 308])("follow no redirect with %i to another host", async (status) => {
    const other = await listening((_, response) => response.writeHead(202, { Location: "/v2/x" }).end());
    const far = await listening((request, response) =>
      response.writeHead(status, { Location: `${other.url}${request.url}` }).end(),
    );
    await scene.restart({ pushTo: { url: far.url, key: scene.key } });
    const client = new GatewayClient(scene.gateway, "team/app");
    expect(await errorIn(await client.send("POST", "blobs/uploads/"))).toMatchObject({ code: "DENIED" });
    await client.send("GET", "manifests/1.0");
    expect(far.requests.length).toBeGreaterThan(0);
    expect(other.requests.map(({ url }) => url)).toEqual([]);
  });

  test("aren't sent where an upload's Location leads to another host", async () => {
    const other = await listening((_, response) => response.writeHead(202).end());
    const far = await listening((_, response) =>
      response.writeHead(202, { Location: `${other.url}/upload` }).end(),
    );
    await scene.restart({ pushTo: { url: far.url, key: scene.key } });
    const client = new GatewayClient(scene.gateway, "team/app");
    const location = await client.open();
    const patch = await client.send("PATCH", location, { body: new Uint8Array(10) });
    expect(await errorIn(patch)).toMatchObject({ status: 403, code: "DENIED" });
    expect(other.requests.map(({ url }) => url)).toEqual([]);
  });

  test("aren't sent where a challenge leads to another host", async () => {
    const other = await listening((_, response) => response.end('{"token":"x"}'));
    const far = await listening((_, response) =>
      response.writeHead(401, { "WWW-Authenticate": `Bearer realm="${other.url}/token"` }).end(),
    );
    await scene.restart({ pushTo: { url: far.url, key: scene.key } });
    const client = new GatewayClient(scene.gateway, "team/app");
    expect(await errorIn(await client.send("POST", "blobs/uploads/"))).toMatchObject({ code: "DENIED" });
    expect((await client.send("GET", "manifests/1.0")).status).toBeGreaterThanOrEqual(400);
    expect(far.requests.length).toBeGreaterThan(0);
    expect(other.requests.map(({ url }) => url)).toEqual([]);
  });

  test("the key is in no response", async () => {
    await scene.restart();
    const client = new GatewayClient(scene.gateway, "private/app");
    const response = await client.send("POST", "blobs/uploads/");
    const text = JSON.stringify([...response.headers]) + (await response.text());
    expect(text).not.toContain(scene.key);
  });
});

describe("a gateway with keys", () => {
  const rights = { allow: [], deny: [], expires: null, rate: null };
  let own: Record<string, string>;
  let others: Record<string, string>;
  let reader: Record<string, string>;

  beforeAll(async () => {
    const first = await addKey([], "own", { ...rights, allow: ["docker.io/*"], push: ["hosted/team/own"] });
    const second = await addKey(first.list, "reader", {
      ...rights,
      allow: ["hosted/*"],
      push: ["hosted/team/*"],
    });
    const both = await addKey(second.list, "others", { ...rights, push: ["hosted/team/*"] });
    const basic = (key: string) => ({ Authorization: `Basic ${Buffer.from(`x:${key}`).toString("base64")}` });
    own = basic(first.key);
    reader = basic(second.key);
    others = basic(both.key);
    await scene.restart({ vars: { ACCESS: "keys", ACCESS_KEYS: JSON.stringify(both.list) } });
  });

  test("takes nothing from clients without one, nor beyond its right", async () => {
    scene.proxy.requests = [];
    const anonymous = await new GatewayClient(scene.gateway, "team/own").send("POST", "blobs/uploads/");
    expect(anonymous.status).toBe(401);
    const beyond = await new GatewayClient(scene.gateway, "team/other", own).send("POST", "blobs/uploads/");
    expect(await errorIn(beyond)).toMatchObject({ status: 403, code: "DENIED" });
    expect(scene.proxy.requests).toEqual([]);
  });

  test("mounts nothing for a key from a repository that it may not read, though its own key may", async () => {
    const secret = new Uint8Array(randomBytes(3_000_000)) as Bytes;
    const name = await digestOf(secret);
    const other = new GatewayClient(scene.gateway, "team/other", others);
    expect((await other.pushWhole(secret)).status).toBe(201);
    const client = new GatewayClient(scene.gateway, "team/own", own);
    for (const query of [
      `?mount=${name}&from=hosted/team/other`,
      `?mount=${name}&from=team/other`,
      `?mount=${name}`,
    ]) {
      expect((await client.send("POST", `blobs/uploads/${query}`)).status).toBe(202);
    }
    expect((await client.send("HEAD", `blobs/${name}`)).status).toBe(404);
    // Sent whole, it isn't mounted either, but sent.
    scene.proxy.requests = [];
    expect((await client.pushWhole(secret)).status).toBe(201);
    expect(scene.proxy.requests.reduce((total, { bytes }) => total + bytes, 0)).toBe(secret.byteLength);
    expect((await other.send("POST", `blobs/uploads/?mount=${name}&from=hosted/team/own`)).status).toBe(201);
  });

  test("mounts nothing from what the other mirror mirrors, which its own key may read", async () => {
    const client = new GatewayClient(scene.gateway, "team/app", reader);
    for (const from of ["ghcr.io/private/app", "hosted/ghcr.io/private/app"]) {
      scene.proxy.requests = [];
      await client.open(`?mount=${digest("any")}&from=${from}`);
      const paths = scene.proxy.requests.map(({ path }) => new URL(path, "http://x"));
      const mounts = paths.filter(({ searchParams }) => searchParams.has("mount"));
      expect(mounts.map(({ searchParams }) => searchParams.get("from"))).toEqual([
        "hosted/ghcr.io/private/app",
      ]);
    }
  });

  test("lists only the repositories that a key may read", async () => {
    const other = new GatewayClient(scene.gateway, "team/other", others);
    await other.pushImage("1.0", new Uint8Array(10) as Bytes);
    const list = async (headers: Record<string, string>) =>
      (await fetch(`${scene.gateway.url}/v2/_catalog`, { headers })).json();
    expect(await list(others)).toEqual({ repositories: ["hosted/team/other"] });
    expect(await list(own)).toEqual({ repositories: [] });
  });
});

test("a gateway that leads back to itself refuses, and goes round once", async () => {
  const back = await startLimitingProxy(() => scene.gateway.url, LIMIT);
  try {
    await scene.restart({ pushTo: { url: `http://${back.host}`, key: null } });
    const client = new GatewayClient(scene.gateway, "team/app");
    expect(await errorIn(await client.send("POST", "blobs/uploads/"))).toMatchObject({
      status: 403,
      message: expect.stringContaining("leads back to this one"),
    });
    expect(back.requests).toHaveLength(1);
  } finally {
    back.close();
  }
});

test("mirrored repositories take no pushes through a gateway", async () => {
  await scene.restart();
  const response = await fetch(`${scene.gateway.url}/v2/docker.io/team/app/blobs/uploads/`, {
    method: "POST",
  });
  expect(await errorIn(response)).toMatchObject({ status: 405, code: "UNSUPPORTED" });
});
