/** The mirror serving https itself: whole bodies, the client's scheme and address, and certificates that change meanwhile. */
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request as requestByTls } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { Agent, fetch } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeKeyFile } from "../../scripts/keys/key-file.ts";
import { type MirrorOptions, type RunningMirror, startMirror } from "../../scripts/local/mirror.ts";
import { addKey } from "../../src/access/key-changes.ts";
import { makeKeyPair, type TestKeyPair } from "../support/node/certificate.ts";
import { type RawFaults, startRawFaults } from "../support/node/raw-faults.ts";
import { burst } from "./support/burst.ts";
import { DEADLINE, until } from "./support/deadline.ts";
import { Download } from "./support/download.ts";
import { type Blob, MIB, PATIENT, requestsFor, serveBlob } from "./support/stage.ts";

/** More than what waits between the mirror and a client that doesn't read. */
const LARGE = 48 * MIB;

let folder: string;
let upstream: RawFaults;
let first: TestKeyPair;
let mirror: RunningMirror | null = null;
let messages: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "portolan-tls-"));
  upstream = await startRawFaults();
  first = await makeKeyPair();
  await replace(first);
  messages = [];
});
afterEach(async () => {
  await mirror?.stop();
  mirror = null;
  await upstream.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

const files = () => ({ certificate: join(folder, "cert.pem"), key: join(folder, "key.pem") });

/** Each file as a whole, one after the other, as certbot does. */
async function replace({ certificate, key }: TestKeyPair): Promise<void> {
  for (const [path, text] of [
    [files().certificate, certificate],
    [files().key, key],
  ] as const) {
    await writeFile(`${path}.new`, text);
    await rename(`${path}.new`, path);
  }
}

async function start(options: Partial<MirrorOptions> = {}): Promise<string> {
  mirror = await startMirror({
    port: 0,
    host: "127.0.0.1",
    data: join(folder, "data"),
    upstreams: { "docker.io": [upstream.url], "registry.test": [upstream.url] },
    insecure: ["docker.io", "registry.test"],
    tls: files(),
    onMessage: ({ from, text }) => from === "mirror" && messages.push(text),
    ...options,
  });
  return mirror.url;
}

const blobUrl = (url: string, { digest }: Blob) => `${url}/v2/registry.test/some/repository/blobs/${digest}`;

/** On a connection of its own. */
async function get(url: string, ca: string, headers: Record<string, string> = {}) {
  const dispatcher = new Agent({ connect: { ca } });
  try {
    const response = await fetch(url, { dispatcher, headers });
    return {
      status: response.status,
      headers: response.headers,
      body: Buffer.from(await response.arrayBuffer()),
    };
  } finally {
    await dispatcher.destroy();
  }
}

/** The certificate that a new connection is served with, in PEM. */
function served(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerX509Certificate()));
      socket.destroy();
    }).once("error", reject);
  });
}

async function waitUntilServed(url: string, { certificate }: TestKeyPair): Promise<void> {
  await until(
    "the new certificate to be served",
    DEADLINE,
    async () => (await served(url).catch(() => "")) === certificate,
  );
}

describe("https", () => {
  test("serves cold and stored blobs and parts of them whole, and plain http not at all", async () => {
    const url = await start();
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const blob = serveBlob(upstream, 9 * MIB + 1);
    for (const source of ["cold", "stored"]) {
      const client = await Download.open(blobUrl(url, blob), {}, first.certificate);
      expect([await client.end(), client.digest], source).toEqual(["whole", blob.digest]);
    }
    expect(requestsFor(upstream, blob)).toHaveLength(1);
    const part = await get(blobUrl(url, blob), first.certificate, { Range: "bytes=10-19" });
    expect([part.status, part.body]).toEqual([206, Buffer.from(blob.bytes.slice(10, 20))]);
    await expect(fetch(`${url.replace("https:", "http:")}/v2/`)).rejects.toThrow();
  });

  test("is the scheme of the token realm, which no header of a client's changes", async () => {
    const keyFile = join(folder, "keys.json");
    await writeKeyFile(
      keyFile,
      (await addKey([], "a", { allow: [], deny: [], expires: null, rate: null })).list,
    );
    const url = await start({ keyFile, vars: { ACCESS: "keys" } });
    const headers = { "X-Portolan-Scheme": "http", "X-Forwarded-Proto": "http" };
    for (const given of [{}, headers]) {
      const { status, headers: received } = await get(`${url}/v2/`, first.certificate, given);
      expect([status, received.get("WWW-Authenticate")]).toEqual([
        401,
        expect.stringContaining(`realm="${url}/_/token"`),
      ]);
    }
  });

  test("believes no header of a client's about whose connection a request came by", async () => {
    const url = await start({ timing: { ...PATIENT, addressRate: 30 } });
    const dispatcher = new Agent({ connect: { ca: first.certificate } });
    const statuses = (headers: Record<string, string>) => burst(url, 30, headers, dispatcher);
    try {
      // Only this machine's own requests aren't counted.
      const forged = { "X-Portolan-Connection": JSON.stringify({ clientIp: "198.51.100.7:1" }) };
      expect(await statuses(forged)).toEqual([200]);
      expect(await statuses({ "CF-Connecting-IP": "198.51.100.7" })).toEqual([200, 429]);
    } finally {
      await dispatcher.destroy();
    }
  });

  test("is served under the certificate's host names too, and under no others", async () => {
    const pair = await makeKeyPair({ dns: ["Mirror.Example.com", "*.example.net", "mirror.example.org"] });
    await replace(pair);
    const url = await start({ vars: { HOSTS: "mirror.lan" } });
    const statusFor = (Host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const options = { headers: { Host }, agent: false, rejectUnauthorized: false };
        const answered = (response: IncomingMessage) => resolve(response.resume().statusCode);
        requestByTls(`${url}/v2/`, options, answered).once("error", reject).end();
      });
    for (const own of ["127.0.0.1", "mirror.example.com", "mirror.example.org:443", "mirror.lan"]) {
      expect(await statusFor(own), own).toBe(200);
    }
    for (const other of ["evil.test", "a.example.net"]) expect(await statusFor(other), other).toBe(421);
  });

  test("is refused without a pair that belongs together, and listens on nothing then", async () => {
    await replace({ ...first, key: (await makeKeyPair()).key });
    await expect(start()).rejects.toThrow(/--tls-key: .* isn't the key of the certificate/);
  });

  test("starts with a certificate that has expired, and warns of what clients will say", async () => {
    const expired = await makeKeyPair({ from: -9, until: -2 });
    await replace(expired);
    const url = await start();
    expect(messages).toEqual([
      expect.stringMatching(/^clients refuse the certificate, since it expired on /),
    ]);
    await expect(get(`${url}/v2/`, expired.certificate)).rejects.toThrow();
    await replace(first);
    await waitUntilServed(url, first);
    expect((await get(`${url}/v2/`, first.certificate)).status).toBe(200);
  });
});

describe("a pair of files that is replaced", () => {
  test("serves new connections, while a response that has begun goes on to its end", async () => {
    const url = await start();
    const blob = serveBlob(upstream, LARGE);
    const client = await Download.open(blobUrl(url, blob), {}, first.certificate);
    await client.readTo(MIB);
    const second = await makeKeyPair();
    await replace(second);
    await waitUntilServed(url, second);
    // The terminator serves it a moment before the mirror hears of that.
    await until("the message", DEADLINE, () => messages.length > 0);
    expect(messages).toEqual([
      expect.stringMatching(/^new connections are served with the certificate for /),
    ]);
    expect((await get(`${url}/v2/`, second.certificate)).status).toBe(200);
    expect([await client.end(), client.digest]).toEqual(["whole", blob.digest]);

    const third = await makeKeyPair();
    await replace(third);
    await waitUntilServed(url, third);
  });

  test("refuses no connection; only one that is being established meanwhile may have to be tried again", async () => {
    const url = await start();
    const second = await makeKeyPair();
    const both = first.certificate + second.certificate;
    let isOver = false;
    const statuses = new Set<number>();
    const again: unknown[] = [];
    const requests = async () => {
      while (!isOver) {
        const response = await get(`${url}/v2/`, both).catch((error: Error) => {
          again.push(error.cause);
          return get(`${url}/v2/`, both);
        });
        statuses.add(response.status);
      }
    };
    const clients = Promise.all([requests(), requests(), requests()]);
    try {
      await replace(second);
      await waitUntilServed(url, second);
    } finally {
      isOver = true;
      await clients;
    }
    expect([...statuses]).toEqual([200]);
    expect(again.map(String).filter((cause) => cause.includes("ECONNREFUSED"))).toEqual([]);
  });

  test.each<[what: string, broken: () => Promise<TestKeyPair>, message: RegExp]>([
    ["don't belong together", async () => ({ ...(await makeKeyPair()), key: first.key }), /isn't the key of/],
    ["have expired", () => makeKeyPair({ from: -9, until: -2 }), /the new one can't be used: it expired on/],
    ["are damaged", async () => ({ certificate: "", key: first.key }), /has no certificate/],
  ])(
    "by files that %s is reported, and the one before stays in use until there is a better one",
    async (_, broken, message) => {
      const url = await start();
      await replace(await broken());
      await until("the problem to be reported", DEADLINE, () => messages.some((text) => message.test(text)));
      expect(messages.every((text) => text.startsWith("the certificate stays as it is: "))).toBe(true);
      expect(await served(url)).toBe(first.certificate);
      const second = await makeKeyPair();
      await replace(second);
      await waitUntilServed(url, second);
    },
  );
});

describe("stopped", () => {
  test("it lets a response end, and serves no more connections", async () => {
    const url = await start({ grace: DEADLINE });
    const blob = serveBlob(upstream, LARGE);
    const client = await Download.open(blobUrl(url, blob), {}, first.certificate);
    await client.readTo(MIB);
    const stopped = mirror?.stop();
    const isServed = () => Promise.race([served(url).then(() => true), sleep(300, false)]).catch(() => false);
    await until("new connections not to be served", DEADLINE, async () => !(await isServed()));
    expect([await client.end(), client.digest]).toEqual(["whole", blob.digest]);
    await stopped;
    await expect(served(url)).rejects.toThrow("ECONNREFUSED");
  });

  test("it breaks off what takes longer than it may", async () => {
    const url = await start({ grace: 300 });
    const blob = serveBlob(upstream, LARGE);
    const client = await Download.open(blobUrl(url, blob), {}, first.certificate);
    await client.readTo(MIB);
    await mirror?.stop();
    expect(await client.end()).toBe("broken");
  });
});
