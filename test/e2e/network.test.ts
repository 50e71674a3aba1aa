// Name resolution: on one machine, no name given by an upstream leads to a private address.
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { REPOSITORIES, TAG } from "./support/global.ts";
import { startOrigin } from "./support/origin.ts";
import { FAKE_IP, FAKED, ORIGIN_ADDRESS, run } from "./support/process.ts";
import { type Served, serve } from "./support/served.ts";
import { startUpstream, type Upstream } from "./support/upstream.ts";

const BLOB = `sha256:${"1".repeat(64)}`;

let upstream: Upstream;
let served: Served | null = null;
/** The address that ghcr.io resolves to here. */
let inside: Server;
let connections = 0;

beforeEach(async () => {
  upstream = await startUpstream(inject("registry"));
  connections = 0;
  inside = createServer((socket) => {
    connections += 1;
    socket.destroy();
  }).listen(443, ORIGIN_ADDRESS);
  await once(inside, "listening");
});
afterEach(async () => {
  await served?.stop();
  served = null;
  inside.close();
  await upstream.stop();
});

async function statusOf(path: string): Promise<number> {
  const response = await fetch(`${served?.url}${path}`);
  await response.body?.cancel();
  return response.status;
}

test("a redirect to a name that resolves to a private address isn't followed", async () => {
  served = await serve({ "docker.io": upstream.url });
  upstream.interfere = ({ kind }) =>
    kind === "blob" ? { status: 307, headers: { Location: "https://ghcr.io/inside" } } : null;
  expect(await statusOf(`/v2/library/portolan-e2e/blobs/${BLOB}`)).toBe(503);
  expect(connections).toBe(0);
});

test("a registry whose name resolves to a private address gets no request, unless the operator configures it", async () => {
  served = await serve({ "docker.io": upstream.url });
  expect(await statusOf(`/v2/ghcr.io/portolan/e2e/blobs/${BLOB}`)).toBe(503);
  expect(connections).toBe(0);
  await served.stop();
  served = await serve({ "docker.io": upstream.url, "ghcr.io": "https://ghcr.io" });
  expect(await statusOf(`/v2/ghcr.io/portolan/e2e/blobs/${BLOB}`)).toBe(503);
  expect(connections).toBeGreaterThan(0);
});

test("a registry whose name resolves to a fake-ip address of a proxy in TUN mode gets requests", async () => {
  const onLoopback = [`${FAKE_IP}/32`, "dev", "lo"];
  await run(["ip", "address", "add", ...onLoopback]);
  const tunnel = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  try {
    await once(tunnel.listen(443, FAKE_IP), "listening");
    served = await serve({ "docker.io": upstream.url });
    expect(await statusOf(`/v2/${FAKED}/portolan/e2e/blobs/${BLOB}`)).toBe(503);
    expect(connections).toBeGreaterThan(0);
  } finally {
    tunnel.close();
    await run(["ip", "address", "delete", ...onLoopback]);
  }
});

test("the operator's own registry, in a private network and with a private certificate, is served", async () => {
  inside.close();
  await once(inside, "close");
  const origin = await startOrigin(inject("registry"));
  try {
    const trust = { NODE_EXTRA_CA_CERTS: origin.environment.SSL_CERT_FILE };
    served = await serve({ "docker.io": upstream.url, "ghcr.io": "https://ghcr.io" }, trust);
    expect(await statusOf(`/v2/ghcr.io/${REPOSITORIES["ghcr.io"]}/manifests/${TAG}`)).toBe(200);
  } finally {
    await origin.stop();
  }
});

test("the operator's own registry, in a private network and without encryption, is served", async () => {
  const plain = await startUpstream(inject("registry"), { host: ORIGIN_ADDRESS });
  try {
    const { port } = new URL(plain.url);
    served = await serve({ "docker.io": upstream.url, "ghcr.io": `http://ghcr.io:${port}` });
    expect(await statusOf(`/v2/ghcr.io/${REPOSITORIES["ghcr.io"]}/manifests/${TAG}`)).toBe(200);
  } finally {
    await plain.stop();
  }
});
