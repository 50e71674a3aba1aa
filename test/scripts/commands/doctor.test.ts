/** `portolan doctor` over sockets: what it finds where one thing is wrong, and that it finds nothing where all is right. */
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { behaviours } from "../../support/fake-registry.ts";
import { listen } from "../../support/node/listen.ts";
import { type Harbour, harbours, IMAGE, launch } from "../support/fleet.ts";
import { portolan, UNREACHABLE } from "../support/portolan.ts";

let mirror: Harbour;
let close: () => Promise<void>;

beforeEach(async () => {
  const fleet = await harbours(1);
  close = fleet.close;
  mirror = fleet.all[0] as Harbour;
  await launch(mirror, "new", "2026-03-11T00:00:00Z");
});
afterEach(() => close());

interface Report {
  checks: { name: string; state: string; says: string; advice: string | null }[];
}

/** No Docker: the socket doesn't exist. */
const environment = { DOCKER_HOST: "unix:///nonexistent/docker.sock" };

async function doctor(url: string, more: Record<string, string> = {}) {
  const args = ["doctor", "--mirror", url, "--image", IMAGE, "--json"];
  const { code, json, errors } = await portolan(args, { environment: { ...environment, ...more } });
  expect(errors).toBe("");
  const { checks } = json() as Report;
  return { code, checks, bad: checks.filter(({ state }) => state === "bad") };
}

test("nothing is wrong with a mirror that is right", async () => {
  const { code, checks, bad } = await doctor(mirror.url);
  expect(bad).toEqual([]);
  expect(code).toBe(0);
  expect(checks.map(({ name }) => name)).toEqual([
    ...["name", "port", "tls", "response", "key", "manifest", "layer", "range", "clock", "docker"],
  ]);
});

test("a person reads a mark, what was found, and what to do", async () => {
  mirror.registry.settings.ranges = false;
  const { code, output } = await portolan(["doctor", "--mirror", mirror.url, "--image", IMAGE], {
    environment,
  });
  expect(output).toMatch(
    /✓ {2}layer +111 B, with the right bytes\n {2}✗ {2}range +ignores Range.*\n {6}→ A pull/,
  );
  expect(output).toMatch(/✗ 1 thing to fix, 1 thing to look at\n$/);
  expect(code).toBe(1);
});

describe("where nothing listens", () => {
  test("it reports that, and how to start a mirror", async () => {
    const { code, bad } = await doctor(UNREACHABLE);
    expect(bad).toMatchObject([{ name: "port", says: expect.stringContaining("nothing listens") }]);
    expect(bad[0]?.advice).toMatch(/npm start|A mirror answers at/);
    expect(code).toBe(1);
  });

  test("and a mirror is at another port, that one is named", async () => {
    const { bad } = await doctor(UNREACHABLE, { PORTOLAN_MIRROR: mirror.url });
    expect(bad[0]?.advice).toContain(`A mirror answers at ${mirror.url}`);
  });
});

test("a port where something else answers is distinguished from a mirror's, and the mirror's is named", async () => {
  const page = await listen(
    () => new Response("<h1>Hello</h1>", { headers: { "content-type": "text/html" } }),
  );
  try {
    const { code, bad } = await doctor(page.url, { PORTOLAN_MIRROR: mirror.url });
    expect(bad).toMatchObject([{ name: "response", says: expect.stringContaining("no registry") }]);
    expect(bad[0]?.advice).toContain(`A mirror answers at ${mirror.url}`);
    expect(code).toBe(1);
  } finally {
    await page.close();
  }
});

test("https where the port speaks http is reported as that", async () => {
  const { bad } = await doctor(mirror.url.replace("http:", "https:"));
  expect(bad).toMatchObject([{ name: "tls", says: "the port speaks http without TLS" }]);
});

test("http where the port speaks TLS is reported as that", async () => {
  const server = createTlsServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { bad } = await doctor(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect(bad).toMatchObject([
      {
        name: "tls",
        says: expect.stringContaining("speaks TLS"),
        advice: expect.stringContaining("https://127"),
      },
    ]);
  } finally {
    server.close();
  }
});

describe("what stands before the mirror is distinguished from the mirror", () => {
  const page = { "content-type": "text/html", server: "nginx" };
  test.each([
    [502, page, /a proxy is there, and the mirror behind it doesn't respond/, /Start the mirror.*proxy_pass/],
    [522, page, /a proxy is there/, /Start the mirror/],
    [525, page, /Cloudflare doesn't accept the certificate/, /certificate for this name/],
    [503, { ...page, "retry-after": "30" }, /can't serve now.*asks to wait 30 s/, /load balancer/],
    [403, page, /a firewall before it, refuses this machine/, /firewall or the access rules/],
    [403, { ...page, "cf-mitigated": "challenge" }, /proof that a person asks/, /skips challenges/],
    [500, page, /fails/, /log/],
  ])("%i %j", async (status, headers, says, advice) => {
    mirror.registry.fail({ kind: "ping" }, { status, headers, body: "<h1>Sorry</h1>" });
    const { code, bad } = await doctor(mirror.url);
    expect(bad).toMatchObject([
      { name: "response", says: expect.stringMatching(says), advice: expect.stringMatching(advice) },
    ]);
    expect(code).toBe(1);
  });

  test("and its own words are shown", async () => {
    const body = JSON.stringify({ errors: [{ code: "DENIED", message: "not from here" }] });
    mirror.registry.fail({ kind: "ping" }, { status: 403, body });
    expect((await doctor(mirror.url)).bad[0]?.says).toContain("(not from here)");
  });
});

describe("a proxy on the way", () => {
  const away = "https://mirror.invalid";

  test("that is dead is reported, and how to do without it", async () => {
    const { code, bad } = await doctor(away, { HTTPS_PROXY: UNREACHABLE });
    expect(bad).toMatchObject([
      {
        name: "proxy",
        says: expect.stringContaining("the proxy 127.0.0.1:4"),
        advice: expect.stringContaining("mirror.invalid in NO_PROXY"),
      },
    ]);
    expect(code).toBe(1);
  });

  test.each([
    [407, /wants a login/, /USER:PASSWORD@/],
    [503, /doesn't bring us to mirror\.invalid: it answers 503/, /in its own log/],
  ])("that answers %i is reported, and what to do", async (status, says, advice) => {
    const proxy = createServer().listen(0, "127.0.0.1");
    proxy.on("connect", (_, socket) => socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`));
    await once(proxy, "listening");
    try {
      const port = (proxy.address() as AddressInfo).port;
      const { bad } = await doctor(away, { HTTPS_PROXY: `http://127.0.0.1:${port}` });
      expect(bad).toMatchObject([
        { name: "proxy", says: expect.stringMatching(says), advice: expect.stringMatching(advice) },
      ]);
    } finally {
      proxy.close();
    }
  });
});

test("a mirror that answers a range with other bytes of the layer is found out", async () => {
  const wrong = behaviours.changedHeaders({ "content-range": "bytes 0-54/111" });
  mirror.registry.fail({ kind: "blob", method: "GET" }, wrong);
  const { bad } = await doctor(mirror.url);
  expect(bad).toMatchObject([
    { name: "range", says: expect.stringContaining("was sent a request for bytes 55-110/111") },
  ]);
});

test("a layer with wrong bytes is found out", async () => {
  mirror.registry.fail({ kind: "blob", method: "GET" }, behaviours.corrupted());
  const { bad } = await doctor(mirror.url);
  expect(bad).toMatchObject([{ name: "layer" }]);
});

test("a clock that is off is found out", async () => {
  const date = new Date(Date.now() - 3 * 3_600_000).toUTCString();
  mirror.registry.fail({ kind: "ping" }, behaviours.changedHeaders({ date }));
  const { code, bad } = await doctor(mirror.url);
  expect(bad).toMatchObject([
    { name: "clock", says: expect.stringMatching(/are (3 hours|179 minutes) apart/) },
  ]);
  expect(code).toBe(1);
});

test("a HEAD without its length is found out: clients rest on it", async () => {
  const cut = behaviours.changedHeaders({ "docker-content-digest": null });
  mirror.registry.fail({ kind: "manifest", method: "HEAD" }, cut);
  const { bad } = await doctor(mirror.url);
  expect(bad).toMatchObject([{ name: "manifest", says: expect.stringContaining("Docker-Content-Digest") }]);
});

test("a mirror that wants a key which isn't known here says where to put it", async () => {
  Object.assign(mirror.registry.settings, {
    auth: "basic",
    credentials: [{ username: "key", password: "s3cret" }],
  });
  const { bad } = await doctor(mirror.url);
  expect(bad).toMatchObject([{ name: "key", advice: expect.stringContaining("docker login") }]);
});

test("a key that docker knows is taken from its configuration file", async () => {
  const credentials = [{ username: "key", password: "s3cret" }];
  Object.assign(mirror.registry.settings, { auth: "basic", credentials });
  const folder = await mkdtemp(join(tmpdir(), "portolan-doctor-"));
  const auth = Buffer.from("key:s3cret").toString("base64");
  const auths = { [new URL(mirror.url).host]: { auth } };
  await writeFile(join(folder, "config.json"), JSON.stringify({ auths }));
  try {
    const { bad, checks } = await doctor(mirror.url, { DOCKER_CONFIG: folder });
    expect(bad).toEqual([]);
    expect(checks).toContainEqual(
      expect.objectContaining({ name: "key", says: expect.stringContaining(folder) }),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a manifest that the mirror can't give is reported with the mirror's own words", async () => {
  mirror.registry.fail({ kind: "manifest" }, { status: 403 });
  const { bad } = await doctor(mirror.url);
  expect(bad).toMatchObject([{ name: "manifest", says: expect.stringContaining("answered 403") }]);
});
